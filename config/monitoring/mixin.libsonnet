// Gonomaly as a monitoring mixin, for those who deploy with jsonnet: the files beside this one, as they are. Dashboards are made by internal/boards
// (make dashboards), so there is nothing to set here; rules are changed where they stand.
{
  grafanaDashboards+:: {
    'gonomaly-business-kpis.json': import 'grafana_dashboards/business_kpis.json',
    'gonomaly-detection-performance.json': import 'grafana_dashboards/detection_performance.json',
    'gonomaly-error-tracking.json': import 'grafana_dashboards/error_tracking.json',
    'gonomaly-resource-usage.json': import 'grafana_dashboards/resource_usage.json',
    'gonomaly-security-events.json': import 'grafana_dashboards/security_events.json',
    'gonomaly-stream.json': import 'grafana_dashboards/stream.json',
    'gonomaly-system-health.json': import 'grafana_dashboards/system_health.json',
  },

  local rules = std.parseYaml(importstr 'alert_rules.yml').groups,
  local only(what) = {
    groups: [
      group { rules: kept }
      for group in rules
      for kept in [[rule for rule in group.rules if std.objectHas(rule, what)]]
      if std.length(kept) > 0
    ],
  },
  prometheusAlerts+:: only('alert'),
  prometheusRules+:: only('record'),
}
