//! `flyte auth can-i`

use clap::Args;
use flyte_client::ClientError;
use flyte_client::permission::{Explanation, Question, Step};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) const HELP: &str = "\
The exit code is 0 if the answer is yes, and 1 if it is no. The words are those of the other commands. --project and --domain say \
where, by default in the configured project and domain. Whether a run, task or app of a name exists is not asked.

For example:
  flyte auth can-i create run
  flyte auth can-i deploy task --project flytesnacks --domain production
  flyte auth can-i create api-key --as ada@example.com
  flyte auth can-i flyteidl2.workflow.RunService/CreateRun -o json";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What to do, for example get, create, abort or deploy; or the name of an RPC, without a RESOURCE
    #[arg(value_name = "VERB")]
    verb: String,

    /// The kind of resource, for example run, task or api-key
    #[arg(value_name = "RESOURCE")]
    resource: Option<String>,

    /// Ask about this principal; for administrators. The e-mail address or ID of a user, the client ID of an API key, RULE:JOB
    /// for a CI job, PROJECT/DOMAIN/NAME for a run
    #[arg(long = "as", value_name = "SUBJECT")]
    principal: Option<String>,

    /// Print nothing: only the exit code answers
    #[arg(short, long)]
    quiet: bool,
}

impl Arguments {
    /// The question in the configured project and domain.
    fn question(&self, context: &Context) -> Result<Question, Failure> {
        let task = &context.config.task;
        let (project, domain) = (task.project.clone(), task.domain.clone());
        let place = Question {
            project: project.unwrap_or_default(),
            domain: domain.unwrap_or_default(),
            principal: self.principal.clone().unwrap_or_default(),
            ..Question::default()
        };
        let is_rpc = self.verb.contains('/');
        match (&self.resource, is_rpc) {
            (None, true) => Ok(Question { rpc: self.verb.clone(), ..place }),
            (Some(resource), false) => {
                Ok(Question { verb: self.verb.clone(), resource: resource.clone(), ..place })
            }
            (Some(_), true) => Err(Failure::new("an RPC has no resource")
                .next(format!("flyte auth can-i {}", self.verb))
                .exit(Exit::Usage)),
            (None, false) => {
                Err(Failure::new(format!("the resource is missing: what is there to {}?", self.verb))
                    .next(format!("Name it, for example: flyte auth can-i {} run", self.verb))
                    .exit(Exit::Usage))
            }
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let question = arguments.question(context)?;
    let permissions = context.client()?.permissions();
    let explanation = context.run("Asking the server", async {
        permissions.explain(question).await.map_err(|error| failure(&error))
    })?;
    if !arguments.quiet {
        output::print(context.global.format, &explanation, text)?;
    }
    Ok(if explanation.allowed { Exit::Success } else { Exit::Failure })
}

fn failure(error: &ClientError) -> Failure {
    let failure = Failure::client("cannot find out", error);
    match error {
        ClientError::InvalidArgument { .. } => {
            failure.next("Choose other words, or name the RPC: flyte auth can-i --help").exit(Exit::Usage)
        }
        ClientError::PermissionDenied { .. } => {
            failure.next("Leave --as out to ask about yourself, or let an administrator ask")
        }
        ClientError::NotFound { .. } => {
            failure.next("Check the spelling: flyte get api-key, or the subjects in flyte get audit")
        }
        _ => failure,
    }
}

fn text(explanation: &Explanation) -> String {
    let Explanation { allowed, rpc, subject, decided_by, steps } = explanation;
    let word = |allows: bool| if allows { "yes" } else { "no" }.to_owned();
    let decided = steps.iter().find(|step| !step.allows && step.rule == *decided_by);
    let mut details = vec![("Subject", subject.clone()), ("RPC", rpc.clone())];
    if let Some(step) = decided {
        details.push(("Why", format!("{}: {}", step.rule, step.reason)));
    }
    let rows =
        steps.iter().map(|Step { rule, allows, reason }| [rule.clone(), word(*allows), reason.clone()]);
    format!(
        "{}\n\n{}\n{}",
        word(*allowed),
        output::details(details),
        output::table(["RULE", "ALLOWS", "REASON"], rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rule: &str, allows: bool, reason: &str) -> Step {
        Step { rule: rule.to_owned(), allows, reason: reason.to_owned() }
    }

    #[test]
    fn the_answer_comes_first_and_the_deciding_rule_follows() {
        let explanation = Explanation {
            allowed: false,
            rpc: "flyteidl2.workflow.RunService/CreateRun".into(),
            subject: "ci".into(),
            decided_by: "role".into(),
            steps: vec![
                step("scope", true, "the token has the scopes all"),
                step("role", false, "CreateRun needs the role contributor"),
            ],
        };
        assert_eq!(
            output::fits(&text(&explanation)),
            "no\n\n\
             Subject:  ci\n\
             RPC:      flyteidl2.workflow.RunService/CreateRun\n\
             Why:      role: CreateRun needs the role contributor\n\n\
             RULE   ALLOWS  REASON\n\
             scope  yes     the token has the scopes all\n\
             role   no      CreateRun needs the role contributor\n"
        );
        let allowed = Explanation { allowed: true, decided_by: String::new(), ..explanation };
        assert!(text(&allowed).starts_with("yes\n") && !text(&allowed).contains("Why"));
    }
}
