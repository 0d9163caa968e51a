//! A generated world with hidden rules that only experience reveals, and an agent that acts on what it is given.
//!
//! Each family of tasks has one way that works. Nothing in a task's text says which: the order of three steps, the
//! flag that an environment wants, or a path that looks wrong and is right beside one that looks right and is wrong.
//! The agent is scripted and stubborn: it does what the context says worked, leaves what the context says failed,
//! and tries something at random otherwise.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use harness_experience::agent::{Agent, RunError};
use harness_experience::model::scripted::Scripted;
use harness_experience::model::{Ask, Call, Reply, Said, ToolSpec};
use harness_experience::tool::{Output, Registry, Risk, Tool};
use harness_experience::{Inject, Verdict};
use harness_memory::memory::BoxFuture;
use harness_memory::{Memory, Outcome, Scope};
use serde_json::{Value, json};

/// Small random numbers that are the same on every machine.
pub struct Dice(u64);

impl Dice {
    /// Dice of this seed.
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| {
            dice.below(2);
        });
        dice
    }

    /// A number below `most`.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % most.max(1)
    }
}

/// The language of a world's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese.
    Chinese,
}

/// One family of tasks.
#[derive(Clone, Debug)]
pub struct Family {
    /// What is asked, with a place for a name.
    asks: String,
    /// The names that come in that place.
    names: &'static [&'static str],
    /// What can be tried; the first one looks right.
    ways: Vec<String>,
    /// The one that works.
    works: usize,
    /// How often the one that looks right is tried first, in tenths.
    tempting: usize,
    /// What every lesson of the family says, before the way.
    rule: String,
}

const SERVICES: &[&str] =
    &["orders", "billing", "search", "catalog", "payments", "inventory", "identity", "shipping", "reviews", "quotes"];
const SERVICES_ZH: &[&str] = &["订单", "账单", "搜索", "目录", "支付", "库存", "账号", "物流", "评价", "报价"];

/// The families of a world: two of each kind of hidden rule, another world for each seed.
pub fn families(language: Language, seed: u64) -> Vec<Family> {
    let mut dice = Dice::new(seed);
    let english = language == Language::English;
    let names = if english { SERVICES } else { SERVICES_ZH };
    let orders = |steps: [&str; 3]| -> Vec<String> {
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
            .iter()
            .map(|order| order.map(|at| steps[at]).join(">"))
            .collect()
    };
    let flags = |flags: [&str; 5]| flags.map(str::to_owned).to_vec();
    let mut families = Vec::new();
    let mut add = |asks: &str, rule: &str, ways: Vec<String>, tempting: usize| {
        // What looks right is never what works where it tempts.
        let works = if tempting > 0 { 1 + dice.below(ways.len() - 1) } else { dice.below(ways.len()) };
        let (asks, rule) = (asks.to_owned(), rule.to_owned());
        families.push(Family { asks, names, ways, works, tempting, rule });
    };
    if english {
        add(
            "Roll out the {} service on the staging cluster",
            "rolling out a service on the staging cluster",
            orders(["drain", "migrate", "restart"]),
            0,
        );
        add(
            "Rotate the signing keys of the {} gateway",
            "rotating the signing keys of a gateway",
            orders(["issue", "publish", "revoke"]),
            0,
        );
        add(
            "Restore the nightly backup of the {} database into the sandbox",
            "restoring a nightly backup into the sandbox",
            flags(["--fast", "--no-owner", "--single-transaction", "--clean", "--schema-first"]),
            0,
        );
        add(
            "Rebuild the {} report for the finance department",
            "rebuilding a report for the finance department",
            flags(["--latest", "--ledger=closed", "--currency=eur", "--window=30d", "--strict"]),
            0,
        );
        add(
            "Find out why the {} worker leaks memory",
            "finding out why a worker leaks memory",
            flags(["heap-dump", "arena-trace", "gc-log", "mmap-diff", "fd-list"]),
            6,
        );
        add(
            "Unblock the stuck {} import queue",
            "unblocking a stuck import queue",
            flags(["restart-consumer", "skip-poison", "reset-offset", "resize-partition", "replay-ledger"]),
            6,
        );
    } else {
        add("把{}服务发布到预发布集群", "把服务发布到预发布集群", orders(["排空", "迁移", "重启"]), 0);
        add("轮换{}网关的签名密钥", "轮换网关的签名密钥", orders(["签发", "公布", "吊销"]), 0);
        add(
            "把{}数据库的夜间备份恢复到沙箱",
            "把数据库的夜间备份恢复到沙箱",
            flags(["--快速", "--无属主", "--单事务", "--先清空", "--先建表"]),
            0,
        );
        add(
            "为财务部门重新生成{}报表",
            "为财务部门重新生成报表",
            flags(["--最新", "--已结账", "--欧元", "--三十天", "--严格"]),
            0,
        );
        add(
            "查清{}工作进程内存泄漏的原因",
            "查清工作进程内存泄漏的原因",
            flags(["堆转储", "分配跟踪", "回收日志", "映射对比", "句柄清单"]),
            6,
        );
        add(
            "疏通卡住的{}导入队列",
            "疏通卡住的导入队列",
            flags(["重启消费者", "跳过坏消息", "重置位点", "扩容分区", "重放账本"]),
            6,
        );
    }
    families
}

impl Family {
    /// The task of a run.
    pub fn task(&self, dice: &mut Dice) -> String {
        self.asks.replace("{}", self.names[dice.below(self.names.len())])
    }

    /// The way that an agent takes which was given this context.
    fn choose(&self, context: &str, dice: &mut Dice) -> usize {
        let mut failed = BTreeSet::new();
        for line in context.lines().filter(|line| line.contains(&self.rule)) {
            for (number, way) in self.ways.iter().enumerate().filter(|(_, way)| line.contains(&format!("[{way}]"))) {
                // What the line says of the way, not what it is filed under.
                if line.contains("[works]") || line.contains("[可行]") {
                    return number;
                }
                failed.insert(number);
                let _ = way;
            }
        }
        if !failed.contains(&0) && dice.below(10) < self.tempting {
            return 0;
        }
        let left: Vec<usize> = (0..self.ways.len()).filter(|way| !failed.contains(way)).collect();
        if left.is_empty() { dice.below(self.ways.len()) } else { left[dice.below(left.len())] }
    }

    /// What is said of a way that was tried.
    fn said(&self, way: usize) -> String {
        let chinese = !self.rule.is_ascii();
        match (chinese, way == self.works) {
            (false, true) => format!("for {}, the way [{}] [works]", self.rule, self.ways[way]),
            (false, false) => format!("for {}, the way [{}] fails", self.rule, self.ways[way]),
            (true, true) => format!("{}，用 [{}] [可行]", self.rule, self.ways[way]),
            (true, false) => format!("{}，用 [{}] 不行", self.rule, self.ways[way]),
        }
    }
}

/// Does what a family allows.
struct Act {
    family: Family,
    tried: Arc<Mutex<Option<usize>>>,
}

impl Tool for Act {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "act".to_owned(),
            description: "tries one way to do the task".to_owned(),
            schema: json!({"type": "object", "properties": {"way": {"type": "string"}}, "required": ["way"]}),
        }
    }

    fn risk(&self, _: &Value) -> Risk {
        Risk::Writes
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        let way = self.family.ways.iter().position(|way| arguments["way"] == way.as_str());
        if let Ok(mut tried) = self.tried.lock() {
            *tried = way;
        }
        let output =
            if way == Some(self.family.works) { Output::done("done") } else { Output::failed("it did not work") };
        Box::pin(std::future::ready(output))
    }
}

/// Does one run of a family, with or without memory, and answers whether it succeeded.
pub async fn run(
    family: &Family,
    memory: &Arc<dyn Memory>,
    scope: &Scope,
    inject: Inject,
    dice: &mut Dice,
) -> Result<bool, RunError> {
    let task = family.task(dice);
    let tried = Arc::new(Mutex::new(None));
    let seed = dice.below(usize::MAX >> 1) as u64;
    let of = family.clone();
    let model = Scripted::new(move |ask: &Ask<'_>| {
        let request = ask.said.iter().find_map(|said| match said {
            Said::User { text } => Some(text.as_str()),
            _ => None,
        });
        let context = request.unwrap_or("").split("</harness-memory>").next().unwrap_or("");
        let way = of.choose(context, &mut Dice::new(seed));
        if let Some(Said::Tool { text, .. }) = ask.said.last() {
            // What is known already is not said again.
            let known = context.contains("[works]") || context.contains("[可行]");
            let learned = text.contains("status=\"ok\"") && !(known && context.contains(&of.ways[way]));
            let text = if learned { format!("LESSON: {}", of.said(way)) } else { "that was it".to_owned() };
            return Reply { text, ..Reply::default() };
        }
        let arguments = json!({"way": of.ways[way]});
        Reply {
            calls: vec![Call { id: String::new(), tool: "act".to_owned(), arguments, signatures: Vec::new() }],
            ..Reply::default()
        }
    });
    let (judged, outcome) = (family.clone(), tried.clone());
    let agent = Agent {
        registry: Registry::new().with(Act { family: family.clone(), tried: tried.clone() }),
        inject,
        judge: Some(Arc::new(move |_| {
            let way = (*outcome.lock().ok()?)?;
            let outcome = if way == judged.works { Outcome::Success } else { Outcome::Failure };
            Some(Verdict::new(outcome, judged.said(way)))
        })),
        ..Agent::new(Arc::new(model), memory.clone(), scope.clone())
    };
    Ok(agent.run(&task).await?.outcome == Outcome::Success)
}
