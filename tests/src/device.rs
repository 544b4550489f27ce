//! A device that shows a code, and the user who answers for it on another device.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{CommandOutput, Server, repository};

/// What a device shows: the URL, and the code to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownDevice {
    /// The URL, with or without the code.
    pub url: String,
    /// The code.
    pub code: String,
}

/// What the user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Presses the button that approves.
    Approve,
    /// Presses the button that denies.
    Deny,
}

impl ShownDevice {
    /// Reads a program's output until it has the URL with the code, even if it is wrapped. The output
    /// after that is read too, so that the program does not block, and returned at its end.
    ///
    /// # Panics
    /// If it does not appear within two minutes.
    #[must_use]
    pub fn in_output(mut output: impl Read + Send + 'static) -> (Self, thread::JoinHandle<String>) {
        let (found, wait) = mpsc::channel();
        let reading = thread::spawn(move || {
            let (mut text, mut buffer, mut shown) = (String::new(), [0; 4096], None);
            loop {
                match output.read(&mut buffer) {
                    Ok(0) | Err(_) => return text,
                    Ok(read) => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                }
                if shown.is_none() {
                    shown = Self::in_text(&text);
                    if let Some(device) = &shown {
                        let _ = found.send(Self::clone(device));
                    }
                }
            }
        });
        let device = wait.recv_timeout(Duration::from_secs(120));
        (device.expect("the URL with the code is shown"), reading)
    }

    /// The first URL in the text that ends in a whole user code.
    #[must_use]
    pub fn in_text(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let url = &word[word.find("https://")?..];
            let (_, code) = url.split_once("user_code=")?;
            (code.len() == 9).then(|| Self { url: url.to_owned(), code: code.to_owned() })
        })
    }

    /// The same device, for a user who types the code.
    #[must_use]
    pub fn typed(self) -> Self {
        let url = self.url.split('?').next().unwrap_or_default().to_owned();
        Self { url, ..self }
    }

    /// Answers for the device with a real browser, signed in as the administrator. Returns the heading of the last page.
    #[must_use]
    pub fn answer(&self, server: &Server, answer: Answer) -> String {
        let mut command = Command::new(repository().join("tests/peers/answer-device.py"));
        command
            .arg(server.password_file())
            .args([&self.url, &self.code])
            .arg(match answer {
                Answer::Approve => "approve",
                Answer::Deny => "deny",
            })
            .stdin(Stdio::null());
        CommandOutput::of(&mut command).ok().out.trim().to_owned()
    }
}
