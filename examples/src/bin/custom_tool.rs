//! A tool of one's own: what it takes, how risky it is, and what it does.
//! `cargo run -p harness-examples --bin custom_tool`

use std::error::Error;
use std::sync::Arc;

use harness_experience::agent::Agent;
use harness_experience::model::scripted::Scripted;
use harness_experience::model::{Call, Reply, ToolSpec};
use harness_experience::tool::{Decision, Output, Registry, Risk, Tool};
use harness_memory::memory::BoxFuture;
use harness_memory::{Memory, Scope};
use harness_recall::{Engine, LocalMemory};
use serde_json::{Value, json};

/// Converts amounts. It only looks something up, so that calls of it may run side by side and be repeated.
struct Convert;

impl Tool for Convert {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "convert".to_owned(),
            description: "Converts an amount of euros.".to_owned(),
            schema: json!({
                "type": "object",
                "properties": {"euros": {"type": "number"}, "to": {"type": "string", "enum": ["CNY", "JPY"]}},
                "required": ["euros", "to"],
            }),
        }
    }

    fn risk(&self, _: &Value) -> Risk {
        Risk::Reads
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        let rate = if arguments["to"] == "CNY" { 7.8 } else { 163.0 };
        let output = match arguments["euros"].as_f64() {
            Some(euros) => Output::done(format!("{:.2} {}", euros * rate, arguments["to"].as_str().unwrap_or(""))),
            // A failure is an answer too: it says what to do better.
            None => Output::failed("how many euros? give a number"),
        };
        Box::pin(std::future::ready(output))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let scope = Scope::parse("ana")?;
    let memory: Arc<dyn Memory> =
        Arc::new(LocalMemory::new(Arc::new(Engine::open(home.path())?), scope.clone().into(), scope.clone()));

    let convert = |euros: Value, to: &str| Call {
        id: String::new(),
        tool: "convert".to_owned(),
        arguments: json!({"euros": euros, "to": to}),
        signatures: Vec::new(),
    };
    let calls = vec![convert(json!(12), "CNY"), convert(json!("a few"), "JPY"), convert(json!(900_000), "CNY")];
    let model = Scripted::replies(vec![
        Reply { calls, ..Reply::default() },
        Reply { text: "12 euros are 93.60 CNY.".to_owned(), ..Reply::default() },
    ]);

    // The policy sees each call before it is done, with its arguments and its risk.
    let policy = Arc::new(|call: &Call, _: Risk| match call.arguments["euros"].as_f64() {
        Some(euros) if euros > 10_000.0 => Decision::Deny("large amounts are for people".to_owned()),
        _ => Decision::Allow,
    });
    let agent = Agent {
        registry: Registry::new().with(Convert).with_policy(policy),
        ..Agent::new(Arc::new(model), memory, scope)
    };
    let result = agent.run("what are 12 euros in yuan?").await?;
    for call in &result.tool_calls {
        println!("{} {} → ok: {:?}", call.tool, call.arguments, call.ok);
    }
    println!("{}", result.text);
    Ok(())
}
