//! Outcomes read from evidence, against what a person who read the session says.

use harness_memory::import::fold::Fold;
use harness_memory::{Message, MessageForm, Outcome, Role, ToolCall, ToolResult};

use super::fixture;

/// A labelled session: its label, the label's line, and its steps.
struct Labelled {
    label: Outcome,
    line: usize,
    steps: Vec<String>,
}

fn labelled() -> Vec<Labelled> {
    let text = std::fs::read_to_string(fixture("outcomes.txt")).unwrap();
    let mut sessions: Vec<Labelled> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("# ") && !line.is_empty()) {
        match line.strip_prefix("? ") {
            Some(label) => {
                let label = label.parse().unwrap();
                sessions.push(Labelled { label, line: number + 1, steps: Vec::new() });
            }
            None if line.starts_with('#') => {}
            None => {
                if let Some(last) = sessions.last_mut() {
                    last.steps.push(line.to_owned());
                }
            }
        }
    }
    sessions
}

fn outcome(steps: &[String]) -> (Outcome, String) {
    let mut fold = Fold::new();
    let mut take = |message: Message| fold.message(&message, jiff::Timestamp::UNIX_EPOCH);
    let call = |tool: &str, arguments: String| {
        let mut message = Message::new(Role::Assistant, 0, "");
        message.tool_calls.push(ToolCall { call: "c".into(), tool: tool.into(), arguments });
        message
    };
    let answer = |tool: &str, text: &str, ok: bool| {
        let mut message = Message::new(Role::Tool, 0, text);
        message.tool_result = Some(ToolResult { call: "c".into(), tool: tool.into(), ok: Some(ok) });
        message
    };
    for step in steps {
        let (kind, rest) = step.split_once(' ').unwrap_or((step, ""));
        match kind {
            "u" => take(Message::new(Role::User, 0, rest)),
            "a" => take(Message::new(Role::Assistant, 0, rest)),
            "e" => {
                take(call("Edit", format!(r#"{{"file_path":"{rest}"}}"#)));
                take(answer("Edit", "done", true));
            }
            "!" => {
                let mut message = Message::new(Role::User, 0, "[Request interrupted by user]");
                message.form = MessageForm::Scaffold;
                take(message);
            }
            "$" => {
                let (command, printed) = rest.split_once(" =>").unwrap();
                let printed = printed.trim_start_matches(' ');
                let code = printed.split(' ').next().and_then(|word| word.parse::<u8>().ok()).filter(|_| {
                    // A count in front of what was printed is no exit code.
                    !printed.contains("passed") || printed.contains("failed") || printed.contains("FAILED")
                });
                let text = code.map_or(printed, |_| printed.split_once(' ').map_or("", |(_, text)| text));
                take(call("Bash", format!(r#"{{"command":"{command}"}}"#)));
                take(answer("Bash", text, code.is_none()));
            }
            other => panic!("no step begins with {other}"),
        }
    }
    fold.finish().map_or((Outcome::Unknown, "no episode".to_owned()), |episode| {
        (episode.outcome, episode.reason.unwrap_or_default())
    })
}

/// Wilson's interval for a share, at 95 %.
fn interval(hits: f64, n: f64) -> (f64, f64) {
    let z = 1.96_f64;
    let (share, z2) = (hits / n, z * z);
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    (middle - half, middle + half)
}

#[test]
fn success_and_failure_are_said_only_where_a_reader_says_so_too() {
    let sessions = labelled();
    assert!(sessions.len() >= 40, "{}", sessions.len());
    for wanted in [Outcome::Success, Outcome::Failure] {
        let (mut said, mut right, mut labelled) = (0.0, 0.0, 0.0);
        let mut wrong = Vec::new();
        for session in &sessions {
            let (outcome, reason) = outcome(&session.steps);
            assert!(!reason.is_empty(), "line {}: an outcome has its reason", session.line);
            labelled += f64::from(u8::from(session.label == wanted));
            if outcome == wanted {
                said += 1.0;
                right += f64::from(u8::from(session.label == wanted));
            }
            if (outcome == wanted) != (session.label == wanted) {
                wrong.push(format!("line {}: label {}, read {outcome}: {reason}", session.line, session.label));
            }
        }
        let (low, high) = interval(right, said);
        println!(
            "{wanted}: precision {:.2} [{low:.2}–{high:.2}] of {said}, found {:.2} of {labelled}\n  {}",
            right / said,
            right / labelled,
            wrong.join("\n  ")
        );
        assert!(right / said >= 0.90, "{wanted}: {wrong:#?}");
    }
}
