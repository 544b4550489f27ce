{{/*
Settings as TOML. `toToml` writes all numbers of values as floats, which the server refuses, so this writes them itself. JSON strings
and lists of strings are valid TOML.
*/}}
{{- define "flyte-auth.toml.value" -}}
{{- if kindIs "float64" . -}}{{ printf "%v" (ternary (int64 .) . (eq (floor .) .)) }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{- define "flyte-auth.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{/* (dict "table" MAP "path" LIST) */}}
{{- define "flyte-auth.toml.table" -}}
{{- $path := .path -}}
{{- $table := .table -}}
{{- range $key := keys $table | sortAlpha }}
{{- $value := index $table $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "flyte-auth.toml.key" $key }} = {{ include "flyte-auth.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := index $table $key }}
{{- if kindIs "map" $value }}
{{- $below := append $path (include "flyte-auth.toml.key" $key) }}

[{{ join "." $below }}]
{{- include "flyte-auth.toml.table" (dict "table" $value "path" $below) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The settings that follow from the other values. */}}
{{- define "flyte-auth.settings" -}}
public-url: {{ include "flyte-auth.publicUrl" . }}
listen: "0.0.0.0:8443"
data-dir: /data/flyte-server
tls:
  {{- if eq .Values.tls.source "none" }}
  mode: "off"
  allow-plaintext: true
  {{- else if eq .Values.tls.source "own" }}
  host-names: {{ include "flyte-auth.serviceNames" . }}
  {{- else }}
  certificate-file: /etc/flyte-server/tls/tls.crt
  key-file: /etc/flyte-server/tls/tls.key
  {{- end }}
admin:
  email: {{ .Values.admin.email | quote }}
  {{- if .Values.admin.existingSecret }}
  password-file: /etc/flyte-server/admin/password
  {{- end }}
http:
  drain-delay: {{ .Values.drainDelay }}
  drain-timeout: {{ .Values.drainTimeout }}
log:
  format: json
upstream:
  url: {{ printf "http://%s.%s:%d" .Values.backend.service .Values.backend.namespace (int .Values.backend.port) }}
projects:
  storage: {{ toJson .Values.backend.storage }}
  {{- $accounts := list "default" }}
  {{- range $project := keys .Values.projects | sortAlpha }}
  {{- with (index $.Values.projects $project).serviceAccount }}
  {{- $accounts = append $accounts (printf "%s=%s" $project .name) }}
  {{- end }}
  {{- end }}
  {{- if .Values.projects }}
  service-accounts: {{ toJson $accounts }}
  {{- end }}
{{- if .Values.tasks.identity.enabled }}
kubernetes:
  enabled: true
  namespaces: [{{ .Values.tasks.namespace }}]
  {{- if .Values.tasks.identity.tokenReview }}
  verification: token-review
  {{- end }}
{{- end }}
{{- end -}}

{{- define "flyte-auth.config" -}}
{{- $settings := mergeOverwrite (include "flyte-auth.settings" . | fromYaml) (deepCopy .Values.settings) -}}
# Written by the chart {{ .Chart.Name }}. Change the values of the release instead.
{{- include "flyte-auth.toml.table" (dict "table" $settings "path" list) }}
{{- end -}}
