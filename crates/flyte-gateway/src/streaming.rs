//! Which calls are streams.

use flyte_access::door::Rpc;
use flyte_protocol::{Form, Protocol};

/// The RPCs that answer with a stream, and may be called from outside. gRPC does not say that in the request.
const STREAMS: &[&str] = &[
    "flyteidl2.actions.ActionsService/WatchForUpdates",
    "flyteidl2.app.AppLogsService/TailLogs",
    "flyteidl2.app.AppService/Watch",
    "flyteidl2.dataproxy.DataProxyService/TailLogs",
    "flyteidl2.workflow.RunLogsService/TailLogs",
    "flyteidl2.workflow.RunService/WatchActionDetails",
    "flyteidl2.workflow.RunService/WatchActions",
    "flyteidl2.workflow.RunService/WatchClusterEvents",
    "flyteidl2.workflow.RunService/WatchGroups",
    "flyteidl2.workflow.RunService/WatchRunDetails",
    "flyteidl2.workflow.RunService/WatchRuns",
    "flyteidl2.workflow.StateService/Watch",
    "flyteidl2.workflow.TrackedRunService/WatchActionDetails",
    "flyteidl2.workflow.TrackedRunService/WatchActions",
    "flyteidl2.workflow.TrackedRunService/WatchRunDetails",
    "flyteidl2.workflow.TrackedRunService/WatchRuns",
];

/// Whether a call of this RPC in this form may stay open.
pub(crate) fn is_stream(rpc: &Rpc, form: Form) -> bool {
    match form.protocol {
        Protocol::Connect | Protocol::ConnectGet => false,
        Protocol::ConnectStream => true,
        Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText => {
            STREAMS.binary_search(&rpc.name).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use flyte_access::door::{Callers, Door};

    use super::*;

    #[test]
    fn each_stream_is_an_rpc_that_may_be_called_and_they_are_sorted() {
        assert!(STREAMS.is_sorted());
        for name in STREAMS {
            let rpc = Door::published().rpc(&format!("/{name}")).expect(name);
            assert_ne!(rpc.callers, Callers::Internal, "{name}");
        }
    }
}
