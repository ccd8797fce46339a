//go:build !integration

package local

const integration = false
