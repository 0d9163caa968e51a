//! How far long work has come, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::interrupt;

/// A bar on stderr, which shows only on a terminal and leaves nothing behind.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for work that is called `doing`, counted in `unit`. From now on Ctrl-C stops the work
    /// at its next step.
    pub(crate) fn new(doing: &str, unit: &str) -> Bar {
        Bar::with(doing, &format!("{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{eta}} left"))
    }

    /// The same for work that is counted in bytes.
    pub(crate) fn bytes(doing: &str) -> Bar {
        Bar::with(doing, "{msg} {wide_bar} {bytes}/{total_bytes}, {eta} left")
    }

    fn with(doing: &str, template: &str) -> Bar {
        interrupt::flag();
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar { bar }
    }

    /// Notes how far the work is; answers whether to go on.
    pub(crate) fn step(&self, done: u64, all: u64) -> bool {
        self.bar.set_length(all);
        self.bar.set_position(done);
        !interrupt::requested()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
