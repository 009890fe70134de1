{{/* The pod of a role: (dict "root" $ "component" "metadata|frontend" "of"
     .Values.metadata|.Values.frontends "roles" list "serves" bool). */}}
{{- define "postrider.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $full := include "postrider.fullname" .root -}}
metadata:
  labels:
    {{- include "postrider.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    postrider/node: "yes"
    {{- if .serves }}
    postrider/mail: "yes"
    {{- end }}
    {{- with .of.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/settings: {{ include "postrider.settings" (dict "root" $root "roles" .roles "serves" .serves) | sha256sum }}
    {{- with .of.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "postrider.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $values.drain.preStop $values.drain.timeout 30 }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .of.affinity }}
  affinity:
    {{- toYaml .of.affinity | nindent 4 }}
  {{- else if ne .of.antiAffinity "none" }}
  affinity:
    podAntiAffinity:
      {{- if eq .of.antiAffinity "required" }}
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "postrider.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
      {{- else }}
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "postrider.selector" $root | nindent 16 }}
                app.kubernetes.io/component: {{ .component }}
      {{- end }}
  {{- end }}
  {{- with .of.spread }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "postrider.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
  {{- end }}
  containers:
    - name: postrider
      image: {{ include "postrider.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: ["serve", "--config", "/etc/postrider/postrider.toml"]
      securityContext:
        {{- toYaml $values.containerSecurityContext | nindent 8 }}
      env:
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: POD_IP
          valueFrom: { fieldRef: { fieldPath: status.podIP } }
        - name: POSTRIDER__CLUSTER__NAME
          value: $(POD_NAME)
        - name: POSTRIDER__CLUSTER__ADDRESS
          {{- if eq .component "metadata" }}
          value: {{ include "postrider.nodeHost" (dict "root" $root "pod" "$(POD_NAME)") }}:7425
          {{- else if $values.listenAddresses | first | contains ":" }}
          value: "[$(POD_IP)]:7425"
          {{- else }}
          value: $(POD_IP):7425
          {{- end }}
        - name: POSTRIDER_DIR
          value: /var/lib/postrider
        - name: POSTRIDER_TOKEN_FILE
          value: /etc/postrider/admin/token
        {{- range $key, $value := $values.settings }}
        - name: POSTRIDER__{{ $key | replace "." "__" | upper }}
          value: {{ include "postrider.text" $value | quote }}
        {{- end }}
        {{- with .of.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with include "postrider.bucketSecret" $root }}
      envFrom:
        - secretRef: { name: {{ . }} }
      {{- end }}
      ports:
        - { name: http, containerPort: 8080 }
        - { name: nodes, containerPort: 7425 }
        {{- if .serves }}
        {{- range $protocol, $of := $values.ports }}
        {{- if $of.enabled }}
        - { name: {{ $protocol }}, containerPort: {{ include "postrider.containerPort" $protocol }} }
        {{- end }}
        {{- end }}
        {{- end }}
      # It waits for the others before it joins, and then for a majority.
      startupProbe:
        httpGet: { path: /healthz/live, port: http }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 300
      livenessProbe:
        httpGet: { path: /healthz/live, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # The node gives the metadata 3 seconds to answer.
      readinessProbe:
        httpGet: { path: /healthz/ready, port: http }
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep: { seconds: {{ $values.drain.preStop }} }
      resources:
        {{- toYaml .of.resources | nindent 8 }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/postrider }
        - { name: settings, mountPath: /etc/postrider/postrider.toml, subPath: {{ .component }}.toml, readOnly: true }
        - { name: admin, mountPath: /etc/postrider/admin, readOnly: true }
        {{- if include "postrider.tlsSecret" $root }}
        - { name: tls, mountPath: /etc/postrider/tls, readOnly: true }
        {{- end }}
        {{- if $values.folder.existingClaim }}
        - { name: bodies, mountPath: /var/lib/postrider-bodies }
        {{- end }}
  volumes:
    - name: settings
      configMap: { name: {{ $full }} }
    - name: admin
      secret: { secretName: {{ include "postrider.adminSecret" $root }}, defaultMode: 0440 }
    {{- with include "postrider.tlsSecret" $root }}
    - name: tls
      secret: { secretName: {{ . }}, defaultMode: 0440 }
    {{- end }}
    {{- with $values.folder.existingClaim }}
    - name: bodies
      persistentVolumeClaim: { claimName: {{ . }} }
    {{- end }}
    {{- if eq .component "frontend" }}
    - name: data
      emptyDir: {}
    {{- end }}
{{- end -}}
