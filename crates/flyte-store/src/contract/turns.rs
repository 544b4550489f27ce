//! The order in which queued tasks are claimed, compared with a model.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    run::{AT, action, claim, ended, id, run},
    *,
};
use crate::{Phase, Run};

/// Starts a run of a user in which at most `most` actions are worked on at the same time; 0 means no limit.
async fn begin(store: &Backend, user: &str, name: &str, most: u32) {
    let mut run = Run { max_concurrency: most, ..run(name, AT) };
    run.creator.subject = user.to_owned();
    store.create_run(&run, &action(name, "a0", "")).await.unwrap();
}

async fn end(store: &Backend, run: &str, name: &str, phase: Phase) {
    store.end_attempt(&id(run, name), 1, &ended(phase), AT).await.unwrap();
}

pub async fn a_fan_out_does_not_block_others(store: Backend) {
    begin(&store, "ada", "r1", 0).await;
    assert_eq!(claim(&store, 2, AT).await, ["r1/a0/1"]);
    for n in 0..100 {
        store.enqueue_action(&action("r1", &format!("c{n}"), "a0"), AT).await.unwrap();
    }
    assert_eq!(claim(&store, 2, AT).await, ["r1/c0/1", "r1/c1/1"], "in the order of calls");
    begin(&store, "ada", "r2", 0).await;
    begin(&store, "bob", "r3", 0).await;
    // The other user's first, because that user has none; then those of Ada's runs in turn.
    end(&store, "r1", "c0", Phase::Succeeded).await;
    assert_eq!(claim(&store, 2, AT).await, ["r3/a0/1"]);
    end(&store, "r3", "a0", Phase::Succeeded).await;
    assert_eq!(claim(&store, 2, AT).await, ["r2/a0/1"]);
    end(&store, "r2", "a0", Phase::Succeeded).await;
    assert_eq!(claim(&store, 2, AT).await, ["r1/c2/1"]);
}

pub async fn slots_are_reserved_for_runs_and_users_without_one(store: Backend) {
    for name in ["r1", "r2"] {
        begin(&store, "ada", name, 0).await;
        assert_eq!(claim(&store, 9, AT).await, [format!("{name}/a0/1")]);
        for n in 0..20 {
            store.enqueue_action(&action(name, &format!("c{n}"), "a0"), AT).await.unwrap();
        }
        // The second run has the slot that the first one could not have, and no other.
        let expected = if name == "r1" { 6 } else { 1 };
        assert_eq!(claim(&store, 8, AT).await.len(), expected, "{name}");
    }
    begin(&store, "ada", "r3", 0).await;
    assert_eq!(claim(&store, 8, AT).await, [""; 0], "the last slot is for another user");
    begin(&store, "bob", "r4", 0).await;
    assert_eq!(claim(&store, 8, AT).await, ["r4/a0/1"]);
}

/// An action of the model.
#[derive(Clone, Debug)]
struct ModelAction {
    name: String,
    parent: Option<usize>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Queued,
    Working,
    Ended,
}

/// A run of the model.
#[derive(Debug)]
struct ModelRun {
    user: usize,
    most: u32,
    served: u64,
    actions: Vec<ModelAction>,
}

impl ModelRun {
    fn has_children(&self, action: usize) -> bool {
        self.actions.iter().any(|one| one.parent == Some(action) && one.state != State::Ended)
    }

    fn busy(&self) -> u32 {
        let working =
            |action: &usize| self.actions[*action].state == State::Working && !self.has_children(*action);
        u32::try_from((0..self.actions.len()).filter(working).count()).unwrap()
    }
}

#[derive(Debug, Default)]
struct Model {
    /// The number of each user's last turn.
    turns: BTreeMap<usize, u64>,
    runs: Vec<ModelRun>,
}

impl Model {
    fn latest(&self) -> u64 {
        self.turns.values().copied().max().unwrap_or(0)
    }

    fn begin(&mut self, user: usize, most: u32) {
        let served = self.latest();
        self.turns.entry(user).or_insert(served);
        let root = ModelAction { name: "a0".to_owned(), parent: None, state: State::Queued };
        self.runs.push(ModelRun { user, most, served, actions: vec![root] });
    }

    fn claim(&mut self, slots: u32) -> Vec<String> {
        let mut claimed = Vec::new();
        let taken: u32 = self.runs.iter().map(ModelRun::busy).sum();
        for taken in taken..slots {
            let free = slots - taken;
            let of_user = |user: usize| -> u32 {
                self.runs.iter().filter(|run| run.user == user).map(ModelRun::busy).sum()
            };
            let next = (0..self.runs.len())
                .filter_map(|n| {
                    let run = &self.runs[n];
                    let action = run.actions.iter().position(|one| one.state == State::Queued)?;
                    let (own, all) = (run.busy(), of_user(run.user));
                    let allowed = (run.most == 0 || own < run.most)
                        && !(slots >= 4 && free == 1 && own > 0)
                        && !(slots >= 8 && free == 1 && all > 0)
                        && !(slots >= 8 && free == 2 && own > 0);
                    allowed.then_some(((all, self.turns[&run.user], own, run.served, n), action))
                })
                .min();
            let Some(((.., run), action)) = next else { break };
            let turn = self.latest() + 1;
            self.turns.insert(self.runs[run].user, turn);
            self.runs[run].served = turn;
            self.runs[run].actions[action].state = State::Working;
            claimed.push(format!("r{run}/{}/1", self.runs[run].actions[action].name));
        }
        claimed
    }

    /// Ends an action and the actions that it called. Returns those that were in progress.
    fn end(&mut self, run: usize, action: usize) -> Vec<String> {
        let mut worked_on = Vec::new();
        if self.runs[run].actions[action].state == State::Working {
            worked_on.push(self.runs[run].actions[action].name.clone());
        }
        self.runs[run].actions[action].state = State::Ended;
        for child in 0..self.runs[run].actions.len() {
            let one = &self.runs[run].actions[child];
            if one.parent == Some(action) && one.state != State::Ended {
                worked_on.extend(self.end(run, child));
            }
        }
        worked_on
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin { user: usize, most: u32 },
    Call { run: prop::sample::Index, parent: prop::sample::Index },
    Claim { slots: u32 },
    End { run: prop::sample::Index, action: prop::sample::Index },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        2 => (0..3_usize, 0..3_u32).prop_map(|(user, most)| Step::Begin { user, most }),
        6 => (index(), index()).prop_map(|(run, parent)| Step::Call { run, parent }),
        4 => (0..10_u32).prop_map(|slots| Step::Claim { slots }),
        3 => (index(), index()).prop_map(|(run, action)| Step::End { run, action }),
    ];
    prop::collection::vec(step, 1..60)
}

async fn play(store: Backend, steps: Vec<Step>) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Begin { user, most } => {
                begin(&store, &format!("user-{user}"), &format!("r{}", model.runs.len()), most).await;
                model.begin(user, most);
            }
            Step::Claim { slots } => {
                assert_eq!(claim(&store, slots, AT).await, model.claim(slots), "{slots} {model:?}");
            }
            Step::Call { run, parent } if !model.runs.is_empty() => {
                let n = run.index(model.runs.len());
                let going = &mut model.runs[n];
                let parent = parent.index(going.actions.len());
                if going.actions[parent].state == State::Working {
                    let name = format!("c{}", going.actions.len());
                    let new = action(&format!("r{n}"), &name, &going.actions[parent].name);
                    store.enqueue_action(&new, AT).await.unwrap();
                    going.actions.push(ModelAction { name, parent: Some(parent), state: State::Queued });
                }
            }
            Step::End { run, action } if !model.runs.is_empty() => {
                let n = run.index(model.runs.len());
                let action = action.index(model.runs[n].actions.len());
                if model.runs[n].actions[action].state == State::Working {
                    // The order matters: the end of this action causes the end of the others.
                    for name in model.end(n, action) {
                        end(&store, &format!("r{n}"), &name, Phase::Succeeded).await;
                    }
                }
            }
            Step::Call { .. } | Step::End { .. } => {}
        }
    }
}

/// Runs random steps on empty stores and on a model of them.
pub fn turns_match_the_fair_model(backend: fn() -> Backend) {
    let mut runner = TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let outcome = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(play(backend(), steps));
        Ok(())
    });
    outcome.unwrap();
}
