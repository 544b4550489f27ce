//! `flyte completion`

use clap::Args;
use clap_complete::Shell;

use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) const HELP: &str = "\
For example:
  flyte completion bash > ~/.local/share/bash-completion/completions/flyte
  flyte completion zsh > \"${fpath[1]}/_flyte\"
  flyte completion fish > ~/.config/fish/completions/flyte.fish";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The shell to complete for
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut definition: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition, "flyte", &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
