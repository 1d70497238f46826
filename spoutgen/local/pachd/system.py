"""The small services beside pfs and pps: version, auth, admin."""

from __future__ import annotations

from typing import Any

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import admin, auth, version

from spoutgen.local.pachd.wire import Call, Method, UnimplementedError


def methods(number: tuple[int, int, int]) -> dict[str, Method]:
    """The calls, by name, of a server of the version ``number``."""

    def get_version(request: Any, call: Call) -> Any:
        major, minor, micro = number
        return version.Version(major=major, minor=minor, micro=micro)

    def who_am_i(request: Any, call: Call) -> Any:
        if "authn-token" not in dict(call.context.invocation_metadata()):
            raise UnimplementedError("the auth service is not activated")
        return auth.WhoAmIResponse(username="pach:root")

    def inspect_cluster(request: Any, call: Call) -> Any:
        return admin.ClusterInfo(id="local", deployment_id="spoutgen", warnings_ok=True)

    return {
        "versionpb_v2.API/GetVersion": Method(Empty, get_version),
        "auth_v2.API/WhoAmI": Method(auth.WhoAmIRequest, who_am_i),
        "admin_v2.API/InspectCluster": Method(admin.InspectClusterRequest, inspect_cluster),
    }
