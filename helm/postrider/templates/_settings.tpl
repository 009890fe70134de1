{{/* The settings file of a role: (dict "root" $ "roles" list "serves" bool). What
     differs from pod to pod comes by the environment. */}}
{{- define "postrider.settings" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
data_dir = "/var/lib/postrider"
drain_timeout = "{{ $values.drain.timeout }}s"
roles = {{ .roles | toJson }}

[cluster]
listen = [{{ range $i, $address := $values.listenAddresses }}{{ if $i }}, {{ end }}{{ include "postrider.socket" (dict "address" $address "port" 7425) }}{{ end }}]
seeds = {{ include "postrider.seeds" $root }}
join_secret_file = "/etc/postrider/admin/join-secret"
founder = "{{ include "postrider.fullname" $root }}-0"
{{- if not (has "meta" .roles) }}
# It keeps nothing: what comes in its place joins as another node.
leave_on_stop = true
{{- end }}

[log]
format = {{ $values.log.format | quote }}
level = {{ $values.log.level | quote }}
{{- if include "postrider.tlsSecret" $root }}

[tls]
certificate = "/etc/postrider/tls/tls.crt"
key = "/etc/postrider/tls/tls.key"
{{- end }}

[http]
admin_from = {{ $values.admin.from | toJson }}
token_file = "/etc/postrider/admin/token"

[smtp]
hostname = {{ $values.hostname | quote }}

{{- if $values.bucket.name }}

[blob.s3]
bucket = {{ $values.bucket.name | quote }}
prefix = {{ $values.bucket.prefix | quote }}
{{- with $values.bucket.endpoint }}
endpoint = {{ . | quote }}
{{- end }}
region = {{ $values.bucket.region | quote }}
allow_http = {{ $values.bucket.allowHttp }}
virtual_host = {{ $values.bucket.virtualHost }}
{{- else }}

[blob]
folder = "/var/lib/postrider-bodies/bodies"
{{- end }}

[[listener]]
protocol = "http"
listen = [{{ range $i, $address := $values.listenAddresses }}{{ if $i }}, {{ end }}{{ include "postrider.socket" (dict "address" $address "port" 8080) }}{{ end }}]
{{- if .serves }}
{{- range $protocol, $of := $values.ports }}
{{- if $of.enabled }}

[[listener]]
protocol = {{ $protocol | quote }}
listen = [{{ range $i, $address := $values.listenAddresses }}{{ if $i }}, {{ end }}{{ include "postrider.socket" (dict "address" $address "port" (include "postrider.containerPort" $protocol)) }}{{ end }}]
{{- if and $values.proxyProtocol.enabled (ne $protocol "lmtp") }}
proxy_from = {{ $values.proxyProtocol.from | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{/* ADDRESS:PORT in quotes; IPv6 in brackets. */}}
{{- define "postrider.socket" -}}
{{- if contains ":" .address -}}
{{- printf "[%s]:%v" .address .port | quote -}}
{{- else -}}
{{- printf "%s:%v" .address .port | quote -}}
{{- end -}}
{{- end -}}
