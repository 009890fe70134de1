{{/* Names and labels. */}}
{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "postrider.fullname" -}}
{{- $name := include "postrider.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "postrider.selector" -}}
app.kubernetes.io/name: {{ include "postrider.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "postrider.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "postrider.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "postrider.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "postrider.adminSecret" -}}
{{- default (printf "%s-admin" (include "postrider.fullname" .)) .Values.admin.existingSecret -}}
{{- end -}}

{{/* The Secret with the bucket's keys; empty: the service account has the right. */}}
{{- define "postrider.bucketSecret" -}}
{{- if .Values.bucket.existingSecret -}}
{{- .Values.bucket.existingSecret -}}
{{- else if .Values.bucket.accessKeyId -}}
{{- printf "%s-bucket" (include "postrider.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the certificate; empty: the cluster's own authority. */}}
{{- define "postrider.tlsSecret" -}}
{{- if .Values.tls.existingSecret -}}
{{- .Values.tls.existingSecret -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "postrider.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Whether nodes with metadata serve clients; empty: no. */}}
{{- define "postrider.metadataServes" -}}
{{- if or .Values.metadata.serveMail (not .Values.frontends.enabled) -}}yes{{- end -}}
{{- end -}}

{{/* HOST of the node with metadata of an ordinal; or of "$(POD_NAME)". */}}
{{- define "postrider.nodeHost" -}}
{{- $full := include "postrider.fullname" .root -}}
{{- printf "%s.%s-nodes.%s.svc.%s" .pod $full .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/* Whom a pod asks to be let in. Three names and the one for all: the list, and with it
     every pod, stays the same when more nodes come. */}}
{{- define "postrider.seeds" -}}
{{- $root := . -}}
{{- $full := include "postrider.fullname" . -}}
{{- $seeds := list -}}
{{- range $ordinal := until 3 -}}
{{- $pod := printf "%s-%d" $full $ordinal -}}
{{- $seeds = append $seeds (printf "%s:7425" (include "postrider.nodeHost" (dict "root" $root "pod" $pod))) -}}
{{- end -}}
{{- $all := printf "%s-nodes.%s.svc.%s:7425" $full .Release.Namespace .Values.clusterDomain -}}
{{- append $seeds $all | toJson -}}
{{- end -}}

{{/* Whom the job that tidies asks, in the same way. */}}
{{- define "postrider.peers" -}}
{{- $root := . -}}
{{- $full := include "postrider.fullname" . -}}
{{- $peers := list -}}
{{- range $ordinal := until (min 3 (int .Values.metadata.replicas) | int) -}}
{{- $pod := printf "%s-%d" $full $ordinal -}}
{{- $peers = append $peers (printf "http://%s:8080" (include "postrider.nodeHost" (dict "root" $root "pod" $pod))) -}}
{{- end -}}
{{- $all := printf "http://%s-nodes.%s.svc.%s:8080" $full .Release.Namespace .Values.clusterDomain -}}
{{- append $peers $all | join " " -}}
{{- end -}}

{{/* Protocols that are open to everybody, as a list in JSON. */}}
{{- define "postrider.openProtocols" -}}
{{- $protocols := list -}}
{{- range $protocol, $of := omit .Values.ports "lmtp" -}}
{{- if $of.enabled -}}
{{- $protocols = append $protocols $protocol -}}
{{- end -}}
{{- end -}}
{{- $protocols | toJson -}}
{{- end -}}

{{/* The port of a protocol in the container: users have none below 1024. */}}
{{- define "postrider.containerPort" -}}
{{- get (dict "smtp" 2525 "submission" 2587 "submissions" 2465 "lmtp" 2424 "imap" 2143 "imaps" 2993 "pop3" 2110 "pop3s" 2995) . -}}
{{- end -}}

{{/* A value of `settings` as text: numbers from YAML are floats. */}}
{{- define "postrider.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "postrider.check" -}}
{{- if eq (not .Values.bucket.name) (not .Values.folder.existingClaim) -}}
{{- fail "message bodies need exactly one place: set bucket.name, or folder.existingClaim with a ReadWriteMany volume" -}}
{{- end -}}
{{- if and (eq (int .Values.metadata.replicas) 2) (not .Values.bucket.name) -}}
{{- fail "two nodes with metadata need the third vote of a bucket: set bucket.name, or metadata.replicas to 3" -}}
{{- end -}}
{{- if and .Values.proxyProtocol.enabled (not .Values.proxyProtocol.from) -}}
{{- fail "proxyProtocol.from must name the networks of the balancers: whoever sends a PROXY header chooses its address" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name must name an Issuer or ClusterIssuer" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "tls.existingSecret and tls.certManager.enabled exclude each other" -}}
{{- end -}}
{{- if eq (not .Values.bucket.accessKeyId) (not (not .Values.bucket.secretAccessKey)) -}}
{{- fail "bucket.accessKeyId and bucket.secretAccessKey go together" -}}
{{- end -}}
{{- end -}}
