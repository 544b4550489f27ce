//! Types that every part of the server uses: time, kinds of principals, roles and limits, scopes, client identifiers,
//! addresses.
#![forbid(unsafe_code)]

mod address_block;
mod cause;
mod client_addr;
mod client_id;
pub mod clock;
mod display_text;
mod domain;
mod grant_type;
mod loopback;
mod network;
mod principal;
mod proximity;
mod rights;
mod scope;
mod scopes;
mod stopping;

pub use address_block::AddressBlock;
pub use cause::innermost_cause;
pub use client_addr::ClientAddr;
pub use client_id::{ClientId, ClientIdError};
pub use display_text::{DisplayTextError, check_display_text};
pub use domain::DOMAINS;
pub use grant_type::{GrantType, UnknownGrantType};
pub use loopback::is_loopback;
pub use network::Network;
pub use principal::{Actor, PrincipalKind};
pub use proximity::Proximity;
pub use rights::{Limit, Rights, Role, UnknownRole};
pub use scope::Scope;
pub use scopes::{ScopeError, Scopes, space_separated};
pub use stopping::Stopping;
