// Package v2 has the names by which dashboard-linter reads dashboards of Grafana's second schema, so that it compiles without them. Ours are of the
// first.
package v2

type DashboardVariableRefresh string

const (
	DashboardVariableRefreshOnTimeRangeChanged DashboardVariableRefresh = "onTimeRangeChanged"
	DashboardVariableRefreshOnDashboardLoad    DashboardVariableRefresh = "onDashboardLoad"
)

type DashboardSpec struct {
	Title       string
	Editable    *bool
	Elements    map[string]DashboardElement
	Variables   []DashboardVariableKind
	Annotations []DashboardAnnotationQueryKind
}
type DashboardElement struct {
	PanelKind *struct{ Spec DashboardPanelSpec }
}
type DashboardPanelSpec struct {
	Id                 float64
	Title, Description string
	VizConfig          struct {
		Group string
		Spec  struct{ FieldConfig, Options any }
	}
	Data struct {
		Spec struct{ Queries []DashboardPanelQueryKind }
	}
}
type DashboardPanelQueryKind struct {
	Spec struct {
		RefId  string
		Hidden bool
		Query  DashboardDataQueryKind
	}
}
type DashboardDataQueryKind struct {
	Group      string
	Datasource *struct{ Name *string }
	Spec       map[string]any
}
type DashboardAnnotationQueryKind struct {
	Spec struct {
		Name  string
		Query DashboardDataQueryKind
	}
}
type variable struct {
	Spec struct {
		Name, PluginId, QueryString string
		Label                       *string
		Multi                       bool
		AllValue                    *string
		Refresh                     DashboardVariableRefresh
		Query                       string
	}
}
type queryVariable struct {
	Spec struct {
		Name            string
		Label, AllValue *string
		Multi           bool
		Refresh         DashboardVariableRefresh
		Query           DashboardDataQueryKind
	}
}
type DashboardVariableKind struct {
	QueryVariableKind      *queryVariable
	DatasourceVariableKind *variable
	CustomVariableKind     *variable
	IntervalVariableKind   *variable
	ConstantVariableKind   *variable
	TextVariableKind       *variable
	AdhocVariableKind      *variable
	GroupByVariableKind    *variable
	SwitchVariableKind     *variable
}
