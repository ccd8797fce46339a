// Package syntax has the names by which dashboard-linter reads queries of Loki, so that it compiles without it. Ours are of Prometheus.
package syntax

import (
	"errors"
	"time"
)

type Expr any
type BinOpExpr struct {
	SampleExpr Expr
	RHS        Expr
}
type RangeAggregationExpr struct{ Left *LogRangeExpr }
type VectorAggregationExpr struct{ Left Expr }
type LabelReplaceExpr struct{ Left Expr }
type LogRangeExpr struct {
	Left     Expr
	Interval time.Duration
}
type PipelineExpr struct {
	Left        Expr
	MultiStages []Expr
}

func ParseExpr(string) (Expr, error) { return nil, errors.New("LogQL is not linted here") }
