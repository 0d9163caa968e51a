// What the page says, in English and Chinese.

const WORDS = {
  en: {
    skip: "Skip to the content", search: "Search", ask: "What do you want to recall?", theme: "Dark or light",
    keys: "Keys", language: "中文", nav_search: "Search", nav_sessions: "Sessions", nav_episodes: "Episodes",
    nav_notes: "Notes", nav_status: "Status", all: "everything", message: "message", episode: "episode", note: "note",
    lesson: "lesson", messages: "messages", success: "success", failure: "failure", unknown: "unknown outcome",
    nothing: "Nothing found.", nothing_hint: "Try fewer words, or another kind.", more: "Show more",
    loading: "Loading…", offline: "The server does not answer. Is `harness serve` running?",
    locked: "This page is locked.", locked_hint: "Run `harness view` on this machine: it opens the page with a key of its own. Or enter a token:",
    token: "Token", open: "Open", score: "score", why: "Why", confidence: "confidence", pin: "Pin", unpin: "Unpin",
    tags: "Tags", tags_hint: "Tags, separated by commas", save: "Save", cancel: "Cancel", forget: "Forget",
    forgotten: "Forgotten.", undo: "Undo", undone: "Brought back.", saved: "Saved.", pinned: "pinned", copies: "said {n} more times",
    replaced: "There is a newer statement", replaces: "Replaces an older statement", sessions: "Sessions", episodes: "Episodes",
    notes: "Notes and lessons", status: "Status", untitled: "Untitled session", turns: "{n} messages", tool_call: "called",
    tool_result: "printed", failed: "failed", summary: "Summary", scaffold: "Set-up text", situation: "Situation",
    turns_later: "What the user said later", tools: "Tools, in order", outcome: "Outcome", reason: "because", lesson_of: "Lesson",
    errors: "Errors met", cost: "Cost", duration: "Duration", tokens: "Tokens", provenance: "Where this is from", source: "source",
    session: "session", scope: "scope", origin: "said by", trust: "trust", created: "when", id: "id", key: "key", evidence: "Evidence",
    injected: "Given to later runs", injected_none: "Not yet given to a run.", run: "run", ended: "ended",
    not_ended: "not ended yet", records: "Records", store: "Store", indexes: "Indexes", model: "Model",
    no_model: "No embedding model: recall is by text. `harness setup` gets one.", lag: "{n} changes behind, searched all the same",
    current: "current", documents: "{n} documents", forgotten_count: "{n} forgotten, can be brought back", changes: "{n} changes",
    version: "Version", uptime: "Running for", follower: "Indexing process", in_session: "In its session", hits_first: "Best first",
    degraded: "Not everything took part", image: "Image", help_title: "Keys", key_search: "search", key_next: "next", key_previous: "previous",
    key_open: "open", key_pin: "pin or unpin", key_tags: "edit tags", key_forget: "forget", key_undo: "undo the last forgetting",
    key_back: "back", key_help: "this list", key_pages: "search, sessions, episodes, notes, status", close: "Close", older: "Older", correct: "Correct", text: "Text",
    gone: "This was forgotten.", gone_until: "It can be brought back until {when}.", part: "{score} × {weight}", pages: "Pages",
  },
  zh: {
    skip: "跳到正文", search: "搜索", ask: "想回忆什么？", theme: "深色或浅色", keys: "按键", language: "English",
    nav_search: "搜索", nav_sessions: "会话", nav_episodes: "经历", nav_notes: "笔记", nav_status: "状态", all: "全部",
    message: "消息", episode: "经历", note: "笔记", lesson: "经验", messages: "消息", success: "成功", failure: "失败",
    unknown: "结果未知", nothing: "没有找到。", nothing_hint: "换少一点的词，或换一个类别。", more: "显示更多", loading: "正在读取…",
    offline: "服务没有回应。`harness serve` 在运行吗？", locked: "页面已锁。",
    locked_hint: "在这台机器上运行 `harness view`，它会带着钥匙打开本页。也可以输入令牌：", token: "令牌", open: "打开", score: "得分", why: "为什么",
    confidence: "把握", pin: "置顶", unpin: "取消置顶", tags: "标签", tags_hint: "标签，用逗号分开", save: "保存", cancel: "取消", forget: "忘记",
    forgotten: "已忘记。", undo: "撤销", undone: "已找回。", saved: "已保存。", pinned: "置顶", copies: "另外说过 {n} 次",
    replaced: "有更新的说法", replaces: "替代了旧的说法", sessions: "会话", episodes: "经历", notes: "笔记与经验", status: "状态",
    untitled: "无题会话", turns: "{n} 条消息", tool_call: "调用", tool_result: "输出", failed: "失败", summary: "摘要", scaffold: "环境文字",
    situation: "情形", turns_later: "用户后来说的", tools: "依次使用的工具", outcome: "结果", reason: "因为", lesson_of: "经验", errors: "遇到的错误",
    cost: "花费", duration: "用时", tokens: "令牌数", provenance: "来历", source: "来源", session: "会话", scope: "范围", origin: "出自", trust: "可信度",
    created: "时间", id: "编号", key: "键", evidence: "依据", injected: "后来给过哪些运行", injected_none: "还没有给过任何运行。", run: "运行",
    ended: "结果", not_ended: "尚未结束", records: "记录", store: "存储", indexes: "索引", model: "模型",
    no_model: "没有向量模型：只按文字回忆。`harness setup` 可以取得一个。", lag: "落后 {n} 处改动，照样能搜到", current: "最新", documents: "{n} 篇",
    forgotten_count: "{n} 条已忘记，可以找回", changes: "{n} 处改动", version: "版本", uptime: "已运行", follower: "索引进程", in_session: "在会话中",
    hits_first: "最相关的在前", degraded: "有一部分没有参加", image: "图片", help_title: "按键", key_search: "搜索", key_next: "下一条",
    key_previous: "上一条", key_open: "打开", key_pin: "置顶或取消", key_tags: "编辑标签", key_forget: "忘记", key_undo: "撤销上一次忘记",
    key_back: "返回", key_help: "本列表", key_pages: "搜索、会话、经历、笔记、状态", close: "关闭", older: "更早", correct: "更正", text: "文字", gone: "这条已被忘记。", gone_until: "在 {when} 之前可以找回。",
    part: "{score} × {weight}", pages: "页面",
    role_user: "用户", role_assistant: "助手", role_tool: "工具", role_system: "系统", trust_trusted: "可信", trust_plain: "一般",
    trust_untrusted: "不可信", trust_quarantined: "已隔离", origin_user: "本人", origin_agent: "模型", origin_tool: "工具",
    origin_import: "导入", origin_web: "网页", state_current: "最新", state_behind: "落后", state_missing: "尚未建立", state_rebuild: "需要重建",
    arm_text: "文字", arm_vector: "向量", arm_copies: "重复次数", arm_date: "日期", arm_named: "提到的名字", arm_neighbours: "上下文", arm_newer: "更新的说法",
    arm_outcome: "结果", arm_recency: "新近", arm_repeats: "多次说过", arm_reranker: "重排", arm_session: "会话", arm_situation: "情形", arm_credit: "成效",
    arm_replaced: "已被替代", arm_by_session: "会话", arm_role: "角色", arm_store: "存储", arm_query: "问题",
  },
};

// What recall says of its answers, in Chinese: reasons with their numbers and names, as they begin. What is not among them
// stays as it came.
const SAID = [
  [/^similar in meaning, cosine (.+)$/, "意思相近，余弦 $1"],
  [/^beside a turn that matches: (.+)$/s, "在一条匹配的话旁边：$1"], [/^beside a turn that matches$/, "在一条匹配的话旁边"],
  [/^its session has no other match$/, "它的会话里没有别的匹配"], [/^its session matches in (\d+) places$/, "它的会话里有 $1 处匹配"],
  [/^its session has (\d+) % of the question's words$/, "它的会话含有问题中 $1 % 的词"],
  [/^lowered: a summary, nobody's statement$/, "降低：摘要，不是谁说的话"], [/^lowered: what a tool printed$/, "降低：工具的输出"],
  [/^lowered: what the agent said$/, "降低：助手说的话"],
  [/^it is of today$/, "今天的"], [/^it is a day old$/, "一天前的"], [/^it is (\d+) days old$/, "$1 天前的"],
  [/^it is of (.+), which the question names$/, "属于问题提到的 $1"], [/^this episode ended in success$/, "这次经历成功了"],
  [/^what not to do: this episode failed \((.+)\)$/s, "不要这样做：这次经历失败了（$1）"], [/^what not to do: this episode failed$/, "不要这样做：这次经历失败了"],
  [/^newer than another statement of the same$/, "比另一条同样的说法新"],
  [/^(\d+) more records? says? the same; the newest is shown$/, "另有 $1 条说法相同；显示最新的"],
  [/^(\d+) more records? says? exactly the same; the newest is shown$/, "另有 $1 条一字不差；显示最新的"],
  [/^read together with the question: from place (\d+) to (\d+)$/, "与问题一起读过：从第 $1 位到第 $2 位"],
  [/^of the same situation as a closer one, (.+)$/, "与更接近的一条情形相同，$1"],
  [/^(\d+) of (\d+) runs that were given it succeeded, such tasks do (\d+) % without it/, "给过它的 $2 次运行中 $1 次成功，这类任务没有它时成功率为 $3 %"],
];

// Why something did not take part, by its code.
const DEGRADED = {
  "no-model": "只按文字搜索：运行 `harness setup` 取得模型，就能按意思搜索。",
  "no-holder": "只按文字搜索：没有进程载入模型；运行 `harness serve` 或 `harness index follow`。",
  late: "只按文字搜索：问题的向量没有及时到达。", "model-failed": "只按文字搜索：模型不能用；运行 `harness setup` 重新取得。",
  "not-understood": "模型不懂这个问题的大部分；由文字回答。", "tail-unsearched": "有些改动还没有建立索引：运行 `harness index follow`。",
  failed: "这个索引没有回应：运行 `harness index rebuild`。", "query-cut": "问题太长，只搜索了开头。", "text-rebuild": "文字索引正在重建，只搜索了最新的记录。",
  "record-damaged": "有一条记录损坏：运行 `harness doctor`。",
};

const kept = localStorage.getItem("harness.language");
let language = kept || (navigator.languages || []).map((tag) => tag.slice(0, 2)).find((tag) => tag in WORDS) || "en";

export function say(word, values = {}) {
  const text = WORDS[language][word] ?? WORDS.en[word] ?? word;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A word of a closed set, such as a role or a trust. In English it is the word itself.
export function sayOne(set, word) {
  return WORDS[language][`${set}_${word}`] ?? word;
}

// A reason of recall's in the language of the page.
export function sayReason(words) {
  if (language !== "zh") return words;
  for (const [pattern, chinese] of SAID) {
    if (pattern.test(words)) return words.replace(pattern, chinese);
  }
  return words;
}

// Why something did not take part, in the language of the page.
export function sayDegraded(part) {
  return (language === "zh" && DEGRADED[part.code]) || part.hint;
}

export function currentLanguage() {
  return language;
}

export function otherLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("harness.language", language);
}

const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

export function day(time) {
  return new Date(time).toLocaleDateString(locale(), { year: "numeric", month: "long", day: "numeric", weekday: "short" });
}

export function moment(time) {
  return new Date(time).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });
}

export function number(value, digits = 0) {
  return Number(value).toLocaleString(locale(), { maximumFractionDigits: digits });
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${number(value, 1)} ${units[unit]}`;
}

export function span(seconds) {
  const format = (value, unit) => new Intl.NumberFormat(locale(), { style: "unit", unit, maximumFractionDigits: 1 }).format(value);
  if (seconds < 90) return format(seconds, "second");
  if (seconds < 5400) return format(seconds / 60, "minute");
  if (seconds < 129600) return format(seconds / 3600, "hour");
  return format(seconds / 86400, "day");
}
