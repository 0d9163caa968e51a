//! The text index at 100,000 generated messages, 40 % of them Chinese: how fast it follows, how large it is, how fast it
//! is opened and searched. `HARNESS_BENCH_RECORDS` asks for another number of them.
//!
//! Criterion measures the searches; the rest is printed once, with percentiles of CPU time over distinct queries.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::Criterion;
use harness_index::{Index, Search, TextIndex, catch_up};
use harness_memory::{Intake, Message, Origin, ReadSet, Record, Role, Scope, SqliteStore, Store};
use jiff::{SignedDuration, Timestamp};

/// A source of numbers that is the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank out of `n`, few of them often and most of them rarely, as words are.
    fn rank(&mut self, n: usize) -> usize {
        ((n as f64 + 1.0).powf(self.unit()) - 1.0) as usize % n
    }
}

const STEMS: &str = "time file test error build server cache index query record store user model token session memory \
    config deploy branch commit merge review plugin module struct thread buffer socket stream parser lexer schema table \
    column value result option string number vector matrix tensor network layer weight batch epoch metric report issue \
    ticket release version package crate import export upload download backup restore replica shard cluster node queue \
    worker job task event signal handler callback router request response header cookie secret policy scope tenant";
const ENDINGS: &str = "s ed ing er ers able tion ment ness less ful ly al ic ity ous ize ism ist ship";
const HAN: &str = "数据 连接 问题 部署 服务 配置 文件 测试 错误 日志 缓存 索引 查询 记录 存储 用户 模型 令牌 会话 内存 分支 提交 合并 评审 \
    插件 模块 结构 线程 缓冲 网络 解析 字段 表格 结果 字符 向量 矩阵 报告 版本 发布 备份 恢复 集群 节点 队列 任务 事件 信号 路由 请求 响应 \
    密钥 策略 范围 租户 时间 我们 可以 需要 这个 那个 因为 所以 如果 但是 已经 还是 没有 应该 使用 修改 增加 删除 检查 运行 启动 停止 失败 \
    成功 重试 超时 权限 登录 密码 接口 参数 返回 调用 函数 代码 编译 环境 变量 脚本 命令 目录 路径 磁盘 进程 端口 地址 域名 证书 加密 压缩 \
    格式 编码 界面 按钮 页面 列表 详情 搜索 排序 过滤 分页 导入 导出 同步 异步 并发 锁定 事务 回滚 迁移 升级 监控 告警 统计 分析 优化 性能";

struct Language {
    english: Vec<String>,
    chinese: Vec<String>,
}

impl Language {
    fn new(numbers: &mut Numbers) -> Language {
        let stems: Vec<&str> = STEMS.split_whitespace().collect();
        let endings: Vec<&str> = ENDINGS.split_whitespace().collect();
        let han: Vec<&str> = HAN.split_whitespace().collect();
        let mut english: Vec<String> = "the a to of and in is it for that on with this we was be as at not are"
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        english.extend(stems.iter().map(|&stem| stem.to_owned()));
        while english.len() < 20_000 {
            let mut word = stems[numbers.below(stems.len())].to_owned();
            match numbers.below(3) {
                0 => word.push_str(endings[numbers.below(endings.len())]),
                1 => word = format!("{word}_{}", stems[numbers.below(stems.len())]),
                _ => word = format!("{word}{}", numbers.below(500)),
            }
            english.push(word);
        }
        let mut chinese: Vec<String> = han.iter().map(|&word| word.to_owned()).collect();
        while chinese.len() < 8_000 {
            let letter = |numbers: &mut Numbers| char::from_u32(0x4e00 + (numbers.rank(0x2000) as u32)).unwrap_or('的');
            chinese.push([letter(numbers), letter(numbers)].iter().collect());
        }
        Language { english, chinese }
    }

    fn text(&self, numbers: &mut Numbers, chinese: bool, words: usize) -> String {
        let mut text = String::new();
        for at in 0..words {
            if chinese {
                text.push_str(&self.chinese[numbers.rank(self.chinese.len())]);
                if numbers.below(4) == 0 {
                    text.push('的');
                }
                if at % 9 == 8 {
                    text.push('，');
                }
            } else {
                text.push_str(&self.english[numbers.rank(self.english.len())]);
                text.push_str(if at % 12 == 11 { ". " } else { " " });
            }
        }
        text
    }

    /// A message: most are a line or two, some a page.
    fn message(&self, numbers: &mut Numbers, position: u32) -> Message {
        let chinese = numbers.unit() < 0.4;
        let words = (12.0 * (1.0 / (1.0 - numbers.unit() * 0.995)).powf(0.75)) as usize;
        let role = [Role::User, Role::Assistant, Role::Assistant, Role::Tool][numbers.below(4)];
        Message::new(role, position, self.text(numbers, chinese, words.min(600)))
    }
}

fn fill(store: &SqliteStore, language: &Language, numbers: &mut Numbers, records: usize) -> usize {
    let intake = Intake::new();
    let mut bytes = 0;
    for start in (0..records).step_by(500) {
        let batch = (start..records.min(start + 500)).map(|at| {
            let message = language.message(numbers, (at % 400) as u32);
            bytes += message.text.len();
            let scope = Scope::parse(&format!("ana/project{}", at / 2_000)).expect("a scope");
            let mut record = Record::new(scope, "bench", Origin::User, message);
            record.session = Some(format!("session-{}", at / 400));
            record.created_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + 60 * at as i64);
            intake.admit_one(record).expect("admitted")
        });
        store.put(batch.collect()).expect("stored");
    }
    bytes
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { folder_bytes(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

/// Processor time of this process, in clock ticks of 10 ms, from the system's table of processes; `None` elsewhere.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Processor time of this thread, in milliseconds; `None` where the system does not say. Other programs on the machine
/// make no difference to it, but it lags by a few milliseconds: only good for many queries together.
fn busy_ms() -> Option<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split_whitespace().next()?.parse::<f64>().ok()? / 1e6)
}

fn resident_megabytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// Prints percentiles of the time on the clock, and the mean of processor time.
fn report(name: &str, work: impl Iterator<Item = Duration>) {
    let busy = busy_ms();
    let mut times: Vec<Duration> = work.collect();
    let busy = busy.zip(busy_ms()).map(|(before, after)| (after - before) / times.len() as f64);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let count = times.len();
    println!(
        "{name}: p50 {:.2?}  p95 {:.2?}  of {count}; {busy:.3?} ms of processor time on average",
        at(0.5),
        at(0.95)
    );
}

fn main() {
    // Run as a test, it only shows that it runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::var("HARNESS_BENCH_RECORDS").ok().and_then(|n| n.parse().ok());
    let records = asked.unwrap_or(if measured { 100_000 } else { 2_000 });
    let mut numbers = Numbers(7);
    let language = Language::new(&mut numbers);
    let home = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(home.path()).expect("a store");
    let text_bytes = fill(&store, &language, &mut numbers, records);
    println!("{records} messages, {} bytes each", text_bytes / records);

    let root = home.path().join("index");
    let mut index = TextIndex::new(&root);
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    catch_up(&store, &mut index, &mut |_, _| true).expect("caught up");
    let followed = begin.elapsed();
    index.settle().expect("settled");
    let mut line = format!("followed at {:.0} messages/s", records as f64 / followed.as_secs_f64());
    if let (Some(before), Some(after)) = (cpu, cpu_seconds()) {
        let _ =
            write!(line, ", {:.0} per second of processor time, merges included", records as f64 / (after - before));
    }
    println!("{line}");
    let size = folder_bytes(&root);
    println!(
        "index: {size} bytes, {:.2} of the text; at most {:?} MB resident",
        size as f64 / text_bytes as f64,
        resident_megabytes()
    );

    let everything = ReadSet::everything();
    let one_project = ReadSet::from(Scope::parse("ana/project7").expect("a scope"));
    let opened = (0..20).map(|_| {
        let begin = Instant::now();
        let index = TextIndex::new(&root);
        black_box(index.search(&store, &Search::new("server timeout", &everything, 10)).expect("found"));
        begin.elapsed()
    });
    report("open and search once", opened);

    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    for (name, chinese, words) in [("english", false, 12), ("chinese", true, 15), ("short chinese", true, 1)] {
        let queries: Vec<String> = (0..500).map(|_| language.text(&mut numbers, chinese, words)).collect();
        for (within, reads) in [("everything", &everything), ("one project", &one_project)] {
            let search = |query: &str| {
                let begin = Instant::now();
                black_box(index.search(&store, &Search::new(query, reads, 50)).expect("found"));
                begin.elapsed()
            };
            report(&format!("{name}, {within}"), queries.iter().map(|query| search(query)));
            let mut next = queries.iter().cycle();
            criterion.bench_function(&format!("search/{name}/{within}"), |bench| {
                bench.iter(|| next.next().map(|query| search(query)));
            });
        }
    }

    for _ in 0..200 {
        let mut text = language.message(&mut numbers, 0);
        text.text = language.text(&mut numbers, true, 60);
        let record = Record::new(Scope::parse("ana").expect("a scope"), "bench", Origin::User, text);
        store.put(vec![Intake::new().admit_one(record).expect("admitted")]).expect("stored");
    }
    let opened = (0..20).map(|_| {
        let begin = Instant::now();
        let index = TextIndex::new(&root);
        black_box(index.search(&store, &Search::new("服务 超时", &everything, 10)).expect("found"));
        begin.elapsed()
    });
    report("open and search once, 200 Chinese messages in the tail", opened);
    let queries = (0..500).map(|_| language.text(&mut numbers, true, 10));
    let times = queries.map(|query| {
        let begin = Instant::now();
        black_box(index.search(&store, &Search::new(&query, &everything, 50)).expect("found"));
        begin.elapsed()
    });
    report("chinese, with that tail", times);
    criterion.final_summary();
}
