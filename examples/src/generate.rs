//! Sessions made up by rule, for measuring speed and size: realistic lengths, two fifths in Chinese.
//!
//! The words follow a Zipf distribution over a small vocabulary and its compounds, so that common
//! words have long posting lists and rare ones (names, numbers, identifiers) keep the index growing,
//! as in real transcripts. The same seed gives the same sessions.

use std::fmt::Write as _;
use std::io::{self, Write};

use harness_memory::{Message, Origin, Record, Role, Scope, Store};
use harness_recall::Engine;

const ENGLISH: &str = "the to a of and in is it that we for this on with be as are not can if the file test error run \
build change add fix function value when from should now but use call type new check line first all then there also \
have return which so no into code server database request response cache key user token config path module version \
branch commit merge deploy rollback timeout retry connection pool queue worker thread lock index query table column \
schema migration backup restore parser buffer stream handler route session cookie header payload latency metric log \
trace span alert dashboard container image cluster node replica shard partition leader follower snapshot checkpoint \
journal page block segment allocator pointer reference lifetime trait generic macro closure iterator future channel \
mutex deadlock race overflow underflow panic exception stack frame symbol linker compiler optimizer profile benchmark \
regression coverage fixture assertion mock stub integration pipeline release candidate hotfix feature flag rollout \
canary staging production incident postmortem owner review approve reject comment issue ticket milestone estimate \
deadline schedule customer invoice payment refund currency tax shipping inventory order product catalog search filter \
sort ranking relevance embedding vector distance cluster centroid tokenizer segmenter dictionary stemmer language \
locale encoding charset unicode normalization whitespace newline indent format lint warning hint suggestion refactor \
rename extract inline delete move copy paste upload download archive compress decompress encrypt decrypt signature \
certificate firewall proxy gateway balancer scheduler cron batch window interval threshold budget quota limit burst";

const CHINESE: &str = "的 是 了 我们 这个 一下 需要 可以 没有 问题 因为 所以 然后 现在 已经 还是 如果 就是 不能 应该 数据库 连接池 \
超时 重试 缓存 服务器 请求 响应 部署 回滚 上线 测试 失败 成功 报错 日志 排查 修复 代码 函数 参数 返回值 配置 路径 模块 版本 分支 \
提交 合并 冲突 评审 接口 字段 表结构 迁移 脚本 备份 恢复 索引 查询 分词 检索 召回 排序 相关性 向量 模型 中文 编码 乱码 权限 登录 \
令牌 会话 用户 订单 支付 退款 库存 商品 发票 税率 报表 统计 监控 告警 延迟 吞吐 线程 死锁 队列 消息 消费者 生产者 集群 节点 副本 \
主从 切换 网关 负载均衡 证书 加密 签名 防火墙 容器 镜像 流水线 灰度 发布 热修复 需求 排期 里程碑 客户 会议 文档 方案 架构 性能 \
优化 内存 泄漏 磁盘 空间 网络 抖动 依赖 升级 兼容 回归 覆盖率 用例 断言 模拟 环境 变量 密钥 定时任务 批处理 窗口 阈值 限流 熔断";

/// Records that are made and stored at a time.
const BATCH: u32 = 1_000;

/// Turns of one made-up session.
const SESSION_TURNS: u32 = 40;

/// Stores so many made-up messages, in sessions of forty turns, and indexes nothing. The number is rounded up to a
/// whole thousand.
pub fn fill(engine: &Engine, maker: &mut Maker, records: u32) -> Result<(), harness_memory::Error> {
    for batch in 0..records.div_ceil(BATCH) {
        let batch = (0..BATCH).map(|at| {
            let (made, position) = (maker.message(), batch * BATCH + at);
            let message = Message::new(made.role.parse().unwrap_or(Role::User), position, made.text);
            let mut record = Record::new(Scope::root(), "made-up", Origin::User, message);
            record.session = Some(format!("session-{}", position / SESSION_TURNS));
            engine.intake().admit_one(record)
        });
        engine.store().put(batch.collect::<Result<_, _>>()?)?;
    }
    Ok(())
}

/// A small, fast random generator (splitmix64: Steele, Lea and Flood, 2014).
pub struct Dice(u64);

impl Dice {
    /// The dice of this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// A number between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A place below `end` where small numbers are likelier, about as the words of a language are.
    fn zipf(&mut self, end: usize) -> usize {
        (((end as f64).powf(self.unit())) as usize - 1).min(end - 1)
    }

    /// A length around `median` with a long tail, as messages have.
    fn length(&mut self, median: f64, most: usize) -> usize {
        let normal: f64 = (0..6).map(|_| self.unit()).sum::<f64>() - 3.0;
        ((median * (normal * 1.3).exp()) as usize).clamp(2, most)
    }
}

/// One made-up message.
pub struct Made {
    /// `user`, `assistant` or `tool`.
    pub role: &'static str,
    /// What it says.
    pub text: String,
}

/// Makes the messages of sessions, one after another.
pub struct Maker {
    dice: Dice,
    english: Vec<&'static str>,
    chinese: Vec<&'static str>,
    turn: usize,
    is_chinese: bool,
}

impl Maker {
    /// The maker of this seed.
    pub fn new(seed: u64) -> Maker {
        Maker {
            dice: Dice::new(seed),
            english: ENGLISH.split_whitespace().collect(),
            chinese: CHINESE.split_whitespace().collect(),
            turn: 0,
            is_chinese: false,
        }
    }

    /// The next message. Every 40 a new session starts; two sessions of five are in Chinese.
    pub fn message(&mut self) -> Made {
        if self.turn.is_multiple_of(40) {
            self.is_chinese = self.dice.below(5) < 2;
        }
        let role = ["user", "assistant", "tool", "assistant"][self.turn % 4];
        self.turn += 1;
        let text = match role {
            "user" => self.prose(18.0, 400),
            "assistant" => self.prose(45.0, 1_200),
            _ => self.output(),
        };
        Made { role, text }
    }

    /// A question of the kind people ask of such sessions.
    pub fn question(&mut self) -> String {
        self.is_chinese = self.dice.below(5) < 2;
        let words = 4 + self.dice.below(8);
        self.words(words)
    }

    fn prose(&mut self, median: f64, most: usize) -> String {
        let words = self.dice.length(median, most);
        self.words(words)
    }

    fn words(&mut self, words: usize) -> String {
        let mut text = String::new();
        for at in 0..words {
            let rare = self.dice.below(12) == 0;
            if self.is_chinese {
                if rare {
                    text.push_str(&self.identifier());
                } else {
                    text.push_str(self.chinese[self.dice.zipf(self.chinese.len())]);
                }
                if at % 9 == 8 {
                    text.push_str(if at % 27 == 26 { "。" } else { "，" });
                }
            } else {
                if !text.is_empty() {
                    text.push(' ');
                }
                if rare {
                    text.push_str(&self.identifier());
                } else {
                    text.push_str(self.english[self.dice.zipf(self.english.len())]);
                }
                if at % 14 == 13 {
                    text.push('.');
                }
            }
        }
        text
    }

    /// A name, a number or a code as programs have them.
    fn identifier(&mut self) -> String {
        let (one, two) = (self.pick(), self.pick());
        match self.dice.below(5) {
            0 => format!("{one}_{two}"),
            1 => format!("{one}-{two}-{}", self.dice.below(40)),
            2 => format!("src/{one}/{two}.rs"),
            3 => format!("E{:04}", self.dice.below(3_000)),
            _ => format!("{}", self.dice.below(100_000)),
        }
    }

    fn pick(&mut self) -> &'static str {
        let from = 30 + self.dice.below(self.english.len() - 30);
        self.english[from]
    }

    /// What a tool prints: lines of paths, numbers and words.
    fn output(&mut self) -> String {
        let lines = self.dice.length(6.0, 120);
        let mut text = String::new();
        for _ in 0..lines {
            let (name, word, number) = (self.identifier(), self.pick(), self.dice.below(5_000));
            let _ = writeln!(text, "{name}:{number}: {word} {} {}", self.pick(), self.identifier());
        }
        text
    }
}

/// Writes sessions with this many messages in all as Claude Code writes them, one JSON object a line.
pub fn claude_code(to: &mut impl Write, messages: usize, seed: u64) -> io::Result<()> {
    let mut maker = Maker::new(seed);
    let mut dice = Dice::new(seed ^ 0x5eed);
    let mut parent = String::from("null");
    let mut session = String::new();
    for number in 0..messages {
        if number.is_multiple_of(40) {
            session = uuid(&mut dice);
            parent = String::from("null");
        }
        let made = maker.message();
        let own = uuid(&mut dice);
        let minutes = number * 2;
        let time = format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            1 + minutes / 40_320 % 12,
            1 + minutes / 1_440 % 28,
            minutes / 60 % 24,
            minutes % 60,
            dice.below(60),
            dice.below(1_000)
        );
        let text = serde_json::to_string(&made.text)?;
        let message = match made.role {
            "user" => format!(r#"{{"role":"user","content":{text}}}"#),
            "assistant" => format!(
                r#"{{"id":"msg_{number:012}","type":"message","role":"assistant","model":"made-up","content":[{{"type":"text","text":{text}}}],"stop_reason":null,"usage":{{"input_tokens":{},"output_tokens":{}}}}}"#,
                dice.below(9_000),
                dice.below(900)
            ),
            _ => format!(
                r#"{{"role":"user","content":[{{"tool_use_id":"toolu_{number:012}","type":"tool_result","content":{text}}}]}}"#
            ),
        };
        let kind = if made.role == "assistant" { "assistant" } else { "user" };
        writeln!(
            to,
            r#"{{"parentUuid":{parent},"isSidechain":false,"userType":"external","cwd":"/home/ana/webshop","sessionId":"{session}","version":"2.1.0","gitBranch":"main","type":"{kind}","message":{message},"uuid":"{own}","timestamp":"{time}"}}"#
        )?;
        parent = format!("\"{own}\"");
    }
    Ok(())
}

fn uuid(dice: &mut Dice) -> String {
    let (a, b) = (dice.roll(), dice.roll());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0xfff,
        b & 0xffff_ffff_ffff
    )
}
