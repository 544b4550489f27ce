//! `runs`: how fast a control plane of Flyte 2 takes runs, and how fast it streams a task's log.
//!
//! Speaks Connect with whatever server there is, as `bench/run` starts it. Prints one JSON object.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing the measurement is what this program is for")]

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use buffa::{EnumValue, Message};
use clap::{Parser, Subcommand};
use flyte_idl::flyteidl2::{
    common::{ActionIdentifier, ActionPhase, ProjectIdentifier},
    core::{Container, Identifier, TaskTemplate, task_template},
    dataproxy::{TailLogsRequest, TailLogsResponse},
    task::TaskSpec,
    workflow::{
        CreateRunRequest, CreateRunResponse, GetActionDetailsRequest, GetActionDetailsResponse,
        create_run_request,
    },
};
use futures_util::{StreamExt as _, future::try_join_all};
use url::Url;

/// What to measure, and at which server.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The server.
    #[arg(long)]
    url: Url,
    /// PEM file with the authority that the server's certificate is signed by.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// File with an access token that may create runs.
    #[arg(long)]
    token_file: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Creates runs, over and over.
    Submit {
        /// At the same time.
        #[arg(long, default_value_t = 16)]
        connections: u16,
        /// For how long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Has a task print this many MiB, then reads its log.
    Log {
        /// How many.
        #[arg(long, default_value_t = 64)]
        mebibytes: u64,
    },
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot read a file: {0}")]
    File(#[from] std::io::Error),
    #[error("request failed: {0}")]
    Http(#[from] reqwest::Error),
    #[error("a bad URL: {0}")]
    Url(#[from] url::ParseError),
    #[error("an answer could not be read: {0}")]
    Decode(#[from] buffa::DecodeError),
    #[error("{0}")]
    Unexpected(String),
}

struct Server {
    http: reqwest::Client,
    url: Url,
    token: String,
}

impl Server {
    fn request(&self, method: &str, kind: &str) -> Result<reqwest::RequestBuilder, BenchError> {
        let request = self.http.post(self.url.join(method)?).bearer_auth(&self.token);
        Ok(request.header("content-type", kind).header("connect-protocol-version", "1"))
    }

    async fn call<A: Message>(&self, method: &str, message: &impl Message) -> Result<A, BenchError> {
        let answer = self.request(method, "application/proto")?.body(message.encode_to_vec()).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            return Err(BenchError::Unexpected(format!(
                "{method} answered {status}: {}",
                String::from_utf8_lossy(&body)
            )));
        }
        Ok(A::decode_from_slice(&body)?)
    }

    /// Creates a run of a shell command.
    async fn create(&self, script: &str) -> Result<ActionIdentifier, BenchError> {
        let template = TaskTemplate {
            id: Identifier {
                project: "flytesnacks".into(),
                domain: "development".into(),
                name: "bench.print".into(),
                version: "1".into(),
                ..Default::default()
            }
            .into(),
            r#type: "python".into(),
            target: Some(task_template::Target::Container(Box::new(Container {
                image: "none".into(),
                args: vec!["sh".into(), "-c".into(), script.into()],
                ..Default::default()
            }))),
            ..Default::default()
        };
        let request = CreateRunRequest {
            id: Some(create_run_request::Id::ProjectId(Box::new(ProjectIdentifier {
                name: "flytesnacks".into(),
                domain: "development".into(),
                ..Default::default()
            }))),
            task: Some(create_run_request::Task::TaskSpec(Box::new(TaskSpec {
                task_template: template.into(),
                short_name: "print".into(),
                ..Default::default()
            }))),
            input_wrapper: Some(create_run_request::InputWrapper::Inputs(Box::default())),
            ..Default::default()
        };
        let answer: CreateRunResponse =
            self.call("/flyteidl2.workflow.RunService/CreateRun", &request).await?;
        let id = answer.run.into_option().and_then(|run| run.action.into_option());
        let id = id.and_then(|action| action.id.into_option());
        id.ok_or_else(|| BenchError::Unexpected("CreateRun answered without a run".to_owned()))
    }

    async fn phase(&self, action: &ActionIdentifier) -> Result<EnumValue<ActionPhase>, BenchError> {
        let request = GetActionDetailsRequest { action_id: action.clone().into(), ..Default::default() };
        let answer: GetActionDetailsResponse =
            self.call("/flyteidl2.workflow.RunService/GetActionDetails", &request).await?;
        Ok(answer.details.into_option().unwrap_or_default().status.into_option().unwrap_or_default().phase)
    }

    /// Reads a whole log; how many bytes its messages have.
    async fn log(&self, action: &ActionIdentifier) -> Result<usize, BenchError> {
        let request = TailLogsRequest { action_id: action.clone().into(), attempt: 1, ..Default::default() }
            .encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(request.len()).unwrap_or_default().to_be_bytes());
        body.extend(request);
        let method = "/flyteidl2.dataproxy.DataProxyService/TailLogs";
        let answer = self.request(method, "application/connect+proto")?.body(body).send().await?;
        let mut stream = answer.error_for_status()?.bytes_stream();
        let (mut buffer, mut read) = (Vec::new(), 0);
        while let Some(chunk) = stream.next().await {
            buffer.extend_from_slice(&chunk?);
            let mut at = 0;
            while let Some(header) = buffer.get(at..at + 5) {
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                let flags = header[0];
                let Some(message) = buffer.get(at + 5..at + 5 + length) else { break };
                if flags & 2 != 0 {
                    if message != b"{}" {
                        return Err(BenchError::Unexpected(String::from_utf8_lossy(message).into_owned()));
                    }
                } else {
                    let message = TailLogsResponse::decode_from_slice(message)?;
                    read += message
                        .logs
                        .iter()
                        .flat_map(|logs| &logs.lines)
                        .map(|line| line.message.len())
                        .sum::<usize>();
                }
                at += 5 + length;
            }
            buffer.drain(..at);
        }
        Ok(read)
    }
}

async fn submit(server: &Server, connections: u16, time: Duration) -> Result<serde_json::Value, BenchError> {
    let started = Instant::now();
    let connections = (0..connections).map(|_| async move {
        let mut latencies = Vec::new();
        while started.elapsed() < time {
            let sent = Instant::now();
            server.create("true").await?;
            latencies.push(sent.elapsed().as_secs_f64());
        }
        Ok::<_, BenchError>(latencies)
    });
    let mut latencies: Vec<f64> = try_join_all(connections).await?.into_iter().flatten().collect();
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let runs = f64::from(u32::try_from(latencies.len()).unwrap_or(u32::MAX));
    let quantile =
        |q: usize| latencies.get(latencies.len().saturating_sub(1) * q / 100).map(|time| time * 1e3);
    Ok(serde_json::json!({
        "runs_per_second": runs / elapsed,
        "latency_ms": { "p50": quantile(50), "p99": quantile(99) },
    }))
}

async fn log(server: &Server, mebibytes: u64) -> Result<serde_json::Value, BenchError> {
    // Lines of 64 bytes.
    let line = "a line of a log, as long as lines of logs often are in practice";
    let action = server.create(&format!("yes '{line}' | head -c {}", mebibytes << 20)).await?;
    let started = Instant::now();
    loop {
        let phase = server.phase(&action).await?;
        if phase == ActionPhase::Succeeded {
            break;
        }
        let failed = [ActionPhase::Failed, ActionPhase::Aborted, ActionPhase::TimedOut]
            .iter()
            .any(|end| phase == *end);
        if failed || started.elapsed() > Duration::from_secs(120) {
            return Err(BenchError::Unexpected(format!("the task is {phase:?}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let written = started.elapsed().as_secs_f64();
    let began = Instant::now();
    let read = server.log(&action).await?;
    let seconds = began.elapsed().as_secs_f64();
    let size = |bytes: usize| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0;
    Ok(
        serde_json::json!({ "mebibytes": size(read), "task_seconds": written, "mebibytes_per_second": size(read) / seconds }),
    )
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(BenchError::File)
        .and_then(|runtime| runtime.block_on(measure(arguments)));
    match measured {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

async fn measure(arguments: Arguments) -> Result<serde_json::Value, BenchError> {
    let token = std::fs::read_to_string(&arguments.token_file)?;
    let mut http = reqwest::Client::builder().timeout(Duration::from_secs(180)).no_proxy();
    if let Some(ca) = &arguments.ca {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(ca)?)?]);
    }
    let server = Server { http: http.build()?, url: arguments.url, token: token.trim().to_owned() };
    match arguments.what {
        What::Submit { connections, seconds } => {
            submit(&server, connections, Duration::from_secs(seconds)).await
        }
        What::Log { mebibytes } => log(&server, mebibytes).await,
    }
}

#[allow(clippy::print_stderr, reason = "the edge, where a person reads it")]
fn fail(error: &BenchError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
