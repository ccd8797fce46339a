package pipeline

// column is a list of rows of so many Ts each that grows without being copied, but for its first piece: a partition of few series is small.
type column[T any] struct {
	each   int
	n      int // rows
	pieces [][]T
}

const pieceRows = 1024

// at is a row of one T.
func (c *column[T]) at(row uint32) *T { return &c.pieces[row/pieceRows][row%pieceRows] }

func (c *column[T]) row(row uint32) []T {
	at := int(row%pieceRows) * c.each
	return c.pieces[row/pieceRows][at : at+c.each : at+c.each]
}

// add makes a row, and returns its number. While there is one piece, what at and row have returned is stale then.
func (c *column[T]) add() uint32 {
	if c.n == len(c.pieces)*pieceRows {
		var piece []T
		if c.n > 0 {
			piece = make([]T, 0, pieceRows*c.each)
		}
		c.pieces = append(c.pieces, piece)
	}
	last := &c.pieces[len(c.pieces)-1]
	*last = append(*last, make([]T, c.each)...)
	c.n++
	return uint32(c.n - 1) //nolint:gosec // there is no room for as many series
}
