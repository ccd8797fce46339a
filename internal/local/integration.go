//go:build integration

package local

// Integration says that tests are to have real services.
const Integration = true
