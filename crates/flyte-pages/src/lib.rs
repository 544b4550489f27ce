//! The HTML pages of the server. They need no JavaScript and load nothing from other servers.
//!
//! Every form contains a [`csrf`] token in the field [`csrf::FIELD`]. These forms post to endpoints of other crates:
//! - `/oauth2/consent`: `request` (the query of the authorization request) and `decision` (`allow` or `deny`);
//! - `/oauth2/account`: `request` (the same) and `decision` (`continue` or `another-account`);
//! - `/oauth2/logout`: `request` (the query of the logout request, empty on the home page) and `decision` (`sign-out`
//!   or `sign-out-browser`);
//! - `/login/connect`: `decision` (`connect` or `cancel`);
//! - `/reset` and `/invitation`: `token`, and `password` or `provider`;
//! - `/account/password`: `current`, `password` and perhaps `everywhere`;
//! - `/account/...`: see [`account`];
//! - `/admin/...`: `act` and the fields of the form, see `flyte-admin-pages`;
//! - `/device`: `user_code` and `decision` (`approve` or `deny`).
#![forbid(unsafe_code)]

pub mod account;
mod admin;
pub mod assets;
mod choose_account;
mod consent;
mod console;
pub mod csrf;
mod csv;
mod device;
mod duration;
mod error;
mod form_action;
mod home;
mod login;
mod logout;
mod page;
mod password;
mod provider;
mod query;
mod return_to;

pub use self::csv::csv_line;
pub use admin::{AdminView, Choice, Field, Form, FormKind, Input, Part, Tab, admin_page};
pub use assets::serve as serve_asset;
pub use choose_account::{ChooseAccountView, choose_account_page};
pub use consent::{ConsentView, consent_page};
pub use console::{
    Cell, ConsoleView, Content, Cut, Failure, Link, LogLine, LogPart, LogView, Moment, Phase, RowButton,
    Section, Tone, console_page, log_lines,
};
pub use device::{
    CodeRefusal, DeviceView, confirm_device_page, device_decided_page, enter_code_page, wrong_number_page,
};
pub use duration::duration;
pub use error::{error_page, internal_error_page};
pub use form_action::FormAction;
pub use home::{HomeView, Overview, home_page};
pub use login::{LoginView, ProviderLink, login_page};
pub use logout::{LogoutView, confirm_logout_page, signed_out_page};
pub use page::security_headers;
pub use password::{
    ChangePasswordView, NewPasswordView, change_password_page, new_password_page, password_set_page,
};
pub use provider::{ConnectView, connect_page, continue_page, sign_in_failed_page};
pub use query::encode;
pub use return_to::ReturnTo;
