{{/* The name of the release's objects. */}}
{{- define "flyte-auth.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flyte-auth.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains (include "flyte-auth.name" .) .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "flyte-auth.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: a selector cannot. */}}
{{- define "flyte-auth.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flyte-auth.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flyte-auth.labels" -}}
{{ include "flyte-auth.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object: (dict "root" $ "name" NAME "namespace" NAMESPACE "annotations" MAP). */}}
{{- define "flyte-auth.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "flyte-auth.labels" .root | nindent 2 }}
{{- with .labels }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "flyte-auth.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "flyte-auth.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "flyte-auth.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The host of publicUrl, and with its port. */}}
{{- define "flyte-auth.authority" -}}
{{- trimSuffix "/" (trimPrefix "https://" .Values.publicUrl) -}}
{{- end -}}

{{- define "flyte-auth.host" -}}
{{- (splitList ":" (include "flyte-auth.authority" .)) | first -}}
{{- end -}}

{{- define "flyte-auth.publicUrl" -}}
{{- printf "https://%s" (include "flyte-auth.authority" .) -}}
{{- end -}}

{{/* The address at which pods reach the gateway, with a port. */}}
{{- define "flyte-auth.tasks.endpoint" -}}
{{- $endpoint := default (include "flyte-auth.authority" .) .Values.tasks.podTemplate.endpoint -}}
{{- if contains ":" $endpoint -}}{{ $endpoint }}{{- else -}}{{ printf "%s:443" $endpoint }}{{- end -}}
{{- end -}}

{{/* The Secret with the gateway's certificate; empty if the server has its own authority or no TLS. */}}
{{- define "flyte-auth.tls.secret" -}}
{{- if eq .Values.tls.source "existingSecret" -}}
{{- .Values.tls.existingSecret -}}
{{- else if eq .Values.tls.source "certManager" -}}
{{- printf "%s-tls" (include "flyte-auth.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Names of the service in the cluster. */}}
{{- define "flyte-auth.serviceNames" -}}
{{- $name := include "flyte-auth.fullname" . -}}
{{- $namespace := .Release.Namespace -}}
{{- list (printf "%s.%s" $name $namespace) (printf "%s.%s.svc" $name $namespace) (printf "%s.%s.svc.cluster.local" $name $namespace) | toJson -}}
{{- end -}}

{{/* What follows from values together. Schemas cannot say it in words that people understand. */}}
{{- define "flyte-auth.validate" -}}
{{- $v := .Values -}}
{{- if not $v.publicUrl -}}
{{- fail "publicUrl is missing: set it to the URL at which browsers, clients and pods reach the gateway, for example https://flyte.example.com." -}}
{{- end -}}
{{- if gt (int $v.replicas) 1 -}}
{{- fail "replicas must be 1: the server's database is a file on one volume, which two replicas cannot share. More become possible with a shared database." -}}
{{- end -}}
{{- if and (eq $v.tls.source "existingSecret") (not $v.tls.existingSecret) -}}
{{- fail "tls.existingSecret is missing: tls.source is existingSecret." -}}
{{- end -}}
{{- if and (ne $v.tls.source "existingSecret") $v.tls.existingSecret -}}
{{- fail (printf "tls.existingSecret has no effect with tls.source %s. Set tls.source to existingSecret, or remove it." $v.tls.source) -}}
{{- end -}}
{{- if and (eq $v.tls.source "certManager") (not $v.tls.certManager.issuer) -}}
{{- fail "tls.certManager.issuer is missing: tls.source is certManager." -}}
{{- end -}}
{{- if and $v.gatewayApi.enabled (not $v.gatewayApi.parentRefs) -}}
{{- fail "gatewayApi.parentRefs is missing: a route needs a Gateway." -}}
{{- end -}}
{{- if and $v.gatewayApi.enabled (eq $v.gatewayApi.kind "TLSRoute") (eq $v.tls.source "none") -}}
{{- fail "gatewayApi.kind TLSRoute passes TLS through to the gateway, but tls.source is none." -}}
{{- end -}}
{{- if and $v.gatewayApi.backendCaConfigMap (or (ne $v.gatewayApi.kind "HTTPRoute") (eq $v.tls.source "none")) -}}
{{- fail "gatewayApi.backendCaConfigMap has no effect: it is for an HTTPRoute to a gateway with TLS." -}}
{{- end -}}
{{- if and $v.persistence.existingClaim (not $v.persistence.enabled) -}}
{{- fail "persistence.existingClaim has no effect without persistence.enabled." -}}
{{- end -}}
{{- if and $v.tasks.podTemplate.create (not $v.tasks.identity.enabled) -}}
{{- fail "tasks.podTemplate.create needs tasks.identity.enabled: without it, the gateway does not accept the pods' tokens." -}}
{{- end -}}
{{- if and $v.tasks.identity.enabled (not $v.rbac.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.name is missing: without rbac.create, name a service account that may watch pods and taskactions." -}}
{{- end -}}
{{- $endpoint := include "flyte-auth.tasks.endpoint" . -}}
{{- if and $v.tasks.podTemplate.create (or (contains "localhost" $endpoint) (contains "docker" $endpoint)) -}}
{{- fail (printf "Pods cannot sign in at %s: the published SDK sends no token to an address that contains \"localhost\" or \"docker\". Set tasks.podTemplate.endpoint or publicUrl to another name." $endpoint) -}}
{{- end -}}
{{- if and $v.tasks.createNamespace (eq $v.tasks.namespace .Release.Namespace) -}}
{{- fail "tasks.createNamespace must be false: tasks.namespace is the release's namespace, which exists already." -}}
{{- end -}}
{{- end -}}
