//! The options of every command. They are in a file of their own, so that the commands do not depend on the whole command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};
use flyte_config::{AuthType, Endpoint, EndpointError};

use crate::logging::Logging;
use crate::output::Format;

/// Options that go with every command, before or after it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file to use instead of the one that is found
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Control plane to talk to instead of the configured one (host, host:port, https://host or dns:///host)
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) endpoint: Option<Address>,

    /// Talk plain HTTP, without credentials
    #[arg(long, global = true)]
    pub(crate) insecure: bool,

    /// How to sign in instead of the configured way
    #[arg(long, global = true, value_name = "TYPE", help = AUTH_TYPE_HELP)]
    pub(crate) auth_type: Option<AuthType>,

    /// If a sign-in is needed, use another device: for SSH, containers and notebooks
    #[arg(long, global = true, conflicts_with = "auth_type")]
    pub(crate) headless: bool,

    /// If a sign-in is needed, use another device, and enter a number there that is shown here
    #[arg(id = "match", long = "match", global = true, conflicts_with = "auth_type", hide_short_help = true)]
    pub(crate) match_number: bool,

    /// Organization to use instead of the configured one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) org: Option<String>,

    /// Project to work in instead of the configured one
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) project: Option<String>,

    /// Domain to work in instead of the configured one, for example development
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) domain: Option<String>,

    /// How to print results
    #[arg(id = "format", short = 'o', long = "output", alias = "output-format", global = true)]
    #[arg(value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: Format,

    /// Whether tables have all columns: `-o wide`, see [`Global::settled`].
    #[arg(skip)]
    pub(crate) wide: bool,

    /// Log more details; repeat it for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(flatten)]
    pub(crate) logging: Logging,

    /// What builds images, instead of the configured builder
    #[arg(
        long,
        alias = "builder",
        global = true,
        value_name = "BUILDER",
        value_enum,
        hide_short_help = true
    )]
    pub(crate) image_builder: Option<ImageBuilder>,
}

/// What builds images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageBuilder {
    /// This machine's Docker
    Local,
    /// This machine's Podman
    LocalPodman,
    /// The cluster
    Remote,
}

impl ImageBuilder {
    /// The word in the configuration file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::LocalPodman => "local-podman",
            Self::Remote => "remote",
        }
    }
}

impl Global {
    /// The options with `-o wide` replaced by a table with all columns, and with what others imply.
    #[must_use]
    pub(crate) fn settled(mut self) -> Self {
        if self.format == Format::Wide {
            (self.format, self.wide) = (Format::Table, true);
        }
        self.headless |= self.match_number;
        self
    }
}

pub(crate) const AUTH_TYPE_HELP: &str = "How to sign in: pkce (browser on this machine), headless (browser on another \
    device), client-secret, external-command, passthrough or token-exchange (the token of a CI job); other spellings, for example device-flow, work too";

/// An endpoint as typed.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) endpoint: Endpoint,
    /// Whether it was typed as `http://`. This does not turn TLS off.
    pub(crate) plain_http: bool,
}

impl FromStr for Address {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain_http = text.trim().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        Ok(Self { endpoint: text.parse()?, plain_http })
    }
}
