"""The fields of KubeRay's RayCluster and RayJob, as a schema.

Written by hand after KubeRay's API reference: docs/reference/api.md of ray-project/kuberay at
commit 0057210e, between 1.3 and 1.4. It has names, types, and what is required. No package
registry has the published CRD, which is that and the whole pod template in half a megabyte; the
templates are checked against Kubernetes' own schema instead. What a later KubeRay has added is
missing here.
"""

from __future__ import annotations

from typing import Any

__all__ = ["RAY_CLUSTER", "RAY_JOB"]

_TEXT, _FLAG, _ANY = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_NUMBER = {"type": "number"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}


def _fields(required: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": fields,
    }


_AUTOSCALER = _fields(
    resources=_ANY,
    image=_TEXT,
    imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
    securityContext=_ANY,
    idleTimeoutSeconds=_WHOLE,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
    env={"type": "array", "items": _fields("name", name=_TEXT, value=_TEXT, valueFrom=_ANY)},
    envFrom={"type": "array"},
    volumeMounts={"type": "array"},
)
_HEAD = _fields(
    "rayStartParams template",
    template=_ANY,
    headService=_ANY,
    enableIngress=_FLAG,
    rayStartParams=_TEXTS,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
)
_WORKERS = _fields(
    "groupName minReplicas maxReplicas rayStartParams template",
    suspend=_FLAG,
    groupName=_TEXT,
    replicas=_WHOLE,
    minReplicas=_WHOLE,
    maxReplicas=_WHOLE,
    idleTimeoutSeconds=_WHOLE,
    rayStartParams=_TEXTS,
    template=_ANY,
    scaleStrategy=_ANY,
    numOfHosts=_WHOLE,
)
_CLUSTER_SPEC = _fields(
    "headGroupSpec",
    suspend=_FLAG,
    managedBy=_TEXT,
    autoscalerOptions=_AUTOSCALER,
    headServiceAnnotations=_TEXTS,
    enableInTreeAutoscaling=_FLAG,
    gcsFaultToleranceOptions=_ANY,
    headGroupSpec=_HEAD,
    rayVersion=_TEXT,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
)
_JOB_SPEC = _fields(
    activeDeadlineSeconds=_WHOLE,
    backoffLimit=_WHOLE,
    rayClusterSpec=_CLUSTER_SPEC,
    submitterPodTemplate=_ANY,
    metadata=_TEXTS,
    clusterSelector=_TEXTS,
    submitterConfig=_fields(backoffLimit=_WHOLE),
    managedBy=_TEXT,
    deletionStrategy=_ANY,
    entrypoint=_TEXT,
    runtimeEnvYAML=_TEXT,
    jobId=_TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    entrypointResources=_TEXT,
    entrypointNumCpus=_NUMBER,
    entrypointNumGpus=_NUMBER,
    ttlSecondsAfterFinished=_WHOLE,
    shutdownAfterJobFinishes=_FLAG,
    suspend=_FLAG,
)


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_ANY,
        spec=spec,
    )


RAY_CLUSTER = _resource("RayCluster", _CLUSTER_SPEC)
RAY_JOB = _resource("RayJob", _JOB_SPEC)
