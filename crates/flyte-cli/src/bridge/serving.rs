//! Apps that Python serves on this machine.

use std::thread;

use serde::Deserialize;
use serde_json::json;

use super::{Bridge, Helper, Printed, Unanswered, Upload};
use crate::output;

/// Gets the URL of the app, and shows what the app prints.
struct Announced<'a>(&'a mut dyn FnMut(&str));

impl Helper for Announced<'_> {
    fn upload(&mut self, _: &Upload) -> Result<String, String> {
        Err("an app on this machine does not upload files".to_owned())
    }

    fn print(&mut self, printed: &Printed) {
        output::say(&format!("{}\n", printed.text.trim_end_matches('\n')));
    }

    fn serving(&mut self, url: &str) {
        (self.0)(url);
    }
}

#[derive(Deserialize)]
struct Ended {
    exit_code: Option<i32>,
}

impl Bridge {
    /// Serves an app until it ends or the user interrupts this command. `announce` gets the app's URL once it answers. Returns the
    /// app's exit code; `None` after an interrupt.
    pub(crate) fn serve(
        &mut self,
        app: &str,
        variables: &[(String, String)],
        announce: &mut dyn FnMut(&str),
    ) -> Result<Option<i32>, Unanswered> {
        let variables: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        self.send(&json!({"do": "serve_local", "app": app, "env": variables}))?;
        let requests = self.requests.take();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Python stops the app when its input ends. This process waits for that, so the interrupt must not end it.
        thread::spawn(move || {
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(tokio::signal::ctrl_c());
            }
            drop(requests);
        });
        let Ended { exit_code } = self.answer(&mut Announced(announce))?;
        if exit_code.is_none() {
            self.finish();
        }
        Ok(exit_code)
    }
}
