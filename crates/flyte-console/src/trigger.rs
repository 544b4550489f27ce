//! The page of a trigger: what starts its task, and the runs that it started.

use axum::{extract::Path, response::Response};
use flyte_idl::flyteidl2::{
    common::TriggerName,
    task::{FixedRateUnit, TriggerAutomationSpec, schedule::Expression, trigger_automation_spec::Automation},
    trigger::{GetTriggerDetailsRequest, TriggerServiceClient},
    workflow::list_runs_request::ScopeBy,
};
use flyte_pages::{Cell, ConsoleView, Link, Phase, Tone, console_page};
use serde::Deserialize;

use crate::{
    address,
    place::Place,
    project::{Page, list_runs},
    refusal::Refusal,
    time,
    visit::{Visit, client},
    who,
};

/// The path of the page.
#[derive(Debug, Deserialize)]
pub(crate) struct TriggerPath {
    domain: String,
    project: String,
    task: String,
    name: String,
}

/// Shows the page.
pub(crate) async fn show(visit: Visit, Path(path): Path<TriggerPath>) -> Result<Response, Refusal> {
    let TriggerPath { domain, project, task, name } = path;
    let place = Place { domain, project };
    let id = TriggerName {
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.clone(),
        task_name: task.clone(),
        ..TriggerName::default()
    };
    let request = GetTriggerDetailsRequest { name: id.clone().into(), ..Default::default() };
    let answer = client!(visit, TriggerServiceClient).get_trigger_details(request).await?.into_owned();
    let trigger = answer.trigger.into_option().ok_or(Refusal::NoPage)?;
    let scope = ScopeBy::TriggerName(id.into());
    let runs = list_runs(&visit, &place, scope, Page::few(Vec::new())).await?;
    let phase = match trigger.spec.active {
        true => Phase { name: "active", tone: Tone::Good },
        false => Phase { name: "inactive", tone: Tone::Quiet },
    };
    let view = ConsoleView {
        email: visit.email,
        crumbs: address::crumbs(&place, Some(("triggers", "Triggers"))),
        kind: "Trigger",
        heading: name,
        lead: trigger.spec.description.clone(),
        phase: Some(phase),
        facts: vec![
            ("Task", Cell::Link(Link { href: address::of(&place, "tasks", &task), text: task.clone() })),
            ("Starts", automation(&trigger.automation_spec)),
            ("Last started", time::cell(trigger.status.triggered_at.as_option())),
            ("Deployed by", who::cell(trigger.metadata.deployed_by.as_option())),
            ("Changed", time::cell(trigger.status.updated_at.as_option())),
        ],
        sections: vec![runs],
        ..ConsoleView::default()
    };
    Ok(console_page(&view))
}

/// When the trigger starts its task, in words.
fn automation(spec: &TriggerAutomationSpec) -> Cell {
    match &spec.automation {
        Some(Automation::Schedule(schedule)) => match &schedule.expression {
            Some(Expression::Rate(rate)) => {
                let unit = match rate.unit.as_known() {
                    Some(FixedRateUnit::FIXED_RATE_UNIT_MINUTE) => "minutes",
                    Some(FixedRateUnit::FIXED_RATE_UNIT_HOUR) => "hours",
                    Some(FixedRateUnit::FIXED_RATE_UNIT_DAY) => "days",
                    _ => "units",
                };
                Cell::Text(format!("every {} {unit}", rate.value))
            }
            Some(Expression::CronExpression(cron)) => Cell::Code(cron.clone()),
            Some(Expression::Cron(cron)) => {
                Cell::Code(format!("{} {}", cron.expression, cron.timezone).trim().to_owned())
            }
            None => Cell::Empty,
        },
        Some(Automation::Artifact(artifact)) => Cell::Text(format!("artifact {}", artifact.artifact_name)),
        None => Cell::Text("by hand".to_owned()),
    }
}
