//! What a person's later turn says about the work before it.
//!
//! A turn is read clause by clause. A clause counts where it is a statement about the work: a request, a condition, a
//! question and a quotation name troubles and joys of which nobody says that they are there. A wrong label is worse
//! than none, so where anything speaks against it nothing is said.

mod han;
mod japanese;
mod korean;

/// What a person's later turn says about what was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Thanks,
    Correction,
}

/// A turn longer than this is a new request, whatever words are in it.
const WORD_BYTES_MAX: usize = 600;

/// Praise and complaints behind more than this are about something that was told at length, in bytes.
const BEFORE_BYTES_MAX: usize = 160;

/// A statement that something does not work names it in a few words; more are a story about something else.
const SUBJECT_WORDS_MAX: usize = 5;

/// What a clause says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Complaint,
    /// The work is good.
    Praise,
    /// Praise that is taken back in the same breath: almost, partly, on my machine.
    HalfPraise,
    /// Thanks, which say nothing about the work itself.
    Gratitude,
    Request,
    Nothing,
}

/// What a person's turn says about the work before it, where it clearly says something. After a question of the model,
/// a mere no is an answer.
pub(super) fn word_of(text: &str, asked_back: bool) -> Option<Word> {
    let text = text.trim();
    if text.len() > WORD_BYTES_MAX {
        return None;
    }
    let text = unquoted(&text.to_lowercase().replace('’', "'"));
    // Aider's command that takes the last change back.
    if text == "/undo" {
        return Some(Word::Correction);
    }
    if text.contains("in advance") {
        return None;
    }
    let clauses = clauses(&text);
    let said: Vec<Says> = clauses.iter().map(says).collect();
    let last = |wanted: Says| said.iter().rposition(|says| *says == wanted);
    let told = |place: usize| is_about_the_work(&clauses, &said, place);
    if let Some(complaint) = last(Says::Complaint).filter(|place| told(*place)) {
        // What was wrong and is right now says little about how it ended.
        return if last(Says::Praise) > Some(complaint) { None } else { Some(Word::Correction) };
    }
    let first = said.iter().position(|says| matches!(says, Says::Praise | Says::Gratitude));
    let opening = clauses.iter().find(|clause| !FILLERS.contains(&clause.text) || clause.text == "no");
    if opening.is_some_and(|clause| is_no(&text, clause)) {
        return (!asked_back && first.is_none()).then_some(Word::Correction);
    }
    let first = first?;
    let doubted = said.contains(&Says::HalfPraise) || is_contradicted(&clauses, first);
    // Who thanks and then asks is not at the end yet.
    let asks = clauses.last().is_some_and(|clause| clause.asks) && said[first] == Says::Gratitude;
    // A polite end of a new request thanks for what is still to come.
    let asked =
        clauses[..first].iter().zip(&said).any(|(clause, says)| *says == Says::Request || is_polite(clause.text));
    let late = clauses[first].at > BEFORE_BYTES_MAX;
    (!doubted && !asks && !asked && !late && !is_polite(clauses[first].text)).then_some(Word::Thanks)
}

/// Whether a complaint is about the work: it looks back, or what stands before it is no other matter that it belongs to.
fn is_about_the_work(clauses: &[Clause<'_>], said: &[Says], complaint: usize) -> bool {
    let sentence = clauses[complaint].sentence;
    let other = |place: &usize| {
        matches!(said[*place], Says::Nothing | Says::Request)
            && !FILLERS.contains(&clauses[*place].text)
            && clauses[*place].sentence != sentence
    };
    let early = clauses[complaint].at <= BEFORE_BYTES_MAX;
    early && (looks_back(clauses[complaint].text) || !(0..complaint).any(|place| other(&place)))
}

/// A part of a sentence.
#[derive(Clone, Copy, Debug)]
struct Clause<'t> {
    text: &'t str,
    /// Where it begins and ends in the turn, with the words that only bind it to others.
    at: usize,
    end: usize,
    /// The number of its sentence.
    sentence: usize,
    /// Whether it stands against what came before: `but …`.
    contrasts: bool,
    /// Whether its sentence is a question.
    asks: bool,
    /// Whether its sentence began with a condition or a request: what is listed after it belongs to that.
    hangs: bool,
}

#[rustfmt::skip]
const CONTRASTS: &[&str] = &[
    "but ", "however", "although ", "though ", "except ", "unfortunately", "sadly",
    "但", "可是", "不过", "不過", "然而", "只是", "可惜",
    "でも", "しかし", "ただ", "けど", "けれど", "が、", "残念",
    "하지만", "그런데", "근데", "다만", "그러나",
];

/// Contrasts in the middle of a clause, behind which the next begins.
#[rustfmt::skip]
const TURNS: &[&str] = &[
    " but ", " however ", " although ", " though ", " except ",
    "但", "可是", "不过", "不過", "然而", "只是",
    "ましたが", "ですが", "ますが", "けれど", "けど", "지만 ", "는데 ", "은데 ", "던데 ",
];

/// The clauses of a turn in lower case, in order.
fn clauses(text: &str) -> Vec<Clause<'_>> {
    let mut found: Vec<Clause<'_>> = Vec::new();
    let (mut start, mut sentence, mut contrasts) = (0, 0, false);
    let mut push = |from: usize, to: usize, sentence: usize, contrasts: bool| {
        let raw = &text[from..to];
        let trimmed = raw.trim();
        let at = from + (raw.len() - raw.trim_start().len());
        if trimmed.is_empty() {
            return false;
        }
        let marker = CONTRASTS.iter().find(|marker| trimmed.starts_with(**marker));
        let rest = marker.map_or(trimmed, |marker| trimmed[marker.len()..].trim_start_matches(['是', ',', ' ']));
        found.push(Clause {
            text: rest,
            at,
            end: at + trimmed.len(),
            sentence,
            contrasts: contrasts || marker.is_some(),
            asks: false,
            hangs: false,
        });
        true
    };
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = text[at + c.len_utf8()..].chars().next();
        let ends_word = next.is_none_or(|next| !next.is_alphanumeric());
        let ends_sentence =
            matches!(c, '!' | '?' | ';' | '\n' | '。' | '！' | '？' | '；' | '…') || c == '.' && ends_word;
        let ends_clause = matches!(c, '，' | '、' | '：' | '—') || matches!(c, ',' | ':') && ends_word;
        if ends_sentence || ends_clause {
            // A contrast that waits for its clause waits over a comma, too.
            let pushed = push(start, at, sentence, contrasts);
            contrasts &= !pushed && !ends_sentence;
            start = at + c.len_utf8();
            sentence += usize::from(ends_sentence);
            continue;
        }
        // 「直っていないので見てください」 states first and asks then.
        if text[at..].starts_with("ので") && ["ない", "ません", "ます"].iter().any(|end| text[start..at].ends_with(end))
        {
            contrasts &= !push(start, at, sentence, contrasts);
            start = at + "ので".len();
            chars.next();
            continue;
        }
        let turn = TURNS.iter().find(|turn| text[at..].starts_with(**turn) && at > start && !is_part(text, at, turn));
        if let Some(turn) = turn {
            push(start, at, sentence, contrasts);
            contrasts = true;
            start = at + turn.len();
            while chars.next_if(|(at, _)| *at < start).is_some() {}
        }
    }
    push(start, text.len(), sentence, contrasts);
    for place in 0..found.len() {
        let clause = found[place];
        found[place].asks = is_question(text, &found, place);
        let first = found[..place].iter().find(|before| before.sentence == clause.sentence);
        found[place].hangs = first
            .is_some_and(|first| is_condition(first.text) || is_request(first.text) || is_announcement(first.text));
    }
    found
}

/// Whether a clause turns to another matter: `next issue: …`.
fn is_announcement(clause: &str) -> bool {
    [
        "next ",
        "another ",
        "new ",
        "one more",
        "i have a ",
        "i found a ",
        "separate",
        "unrelated",
        "下一",
        "另一",
        "另外",
        "还有一",
        "次の",
        "別の",
        "다음",
        "또 다른",
    ]
    .iter()
    .any(|start| opened(clause).starts_with(start) || clause.starts_with(start))
}

/// Whether a contrast is the end of a longer word that is none: 不但, 只不过.
fn is_part(text: &str, at: usize, turn: &str) -> bool {
    turn == "但" && text[..at].ends_with('不') || turn == "只是" && text[..at].ends_with('不')
}

fn is_question(text: &str, clauses: &[Clause<'_>], place: usize) -> bool {
    let sentence = clauses[place].sentence;
    let last = clauses[place..].iter().take_while(|clause| clause.sentence == sentence).last();
    let last = last.unwrap_or(&clauses[place]);
    text[last.end..].trim_start().starts_with(['?', '？'])
        || last.text.ends_with(['吗', '嗎', '呢'])
        || last.text.ends_with("ますか")
        || last.text.ends_with("ですか")
        || last.text.ends_with("ましたか")
        || last.text.ends_with("나요") && !last.text.ends_with(" 나요")
        || last.text.ends_with("까요")
        || [" does it", " is it", " right", " isn't it", " doesn't it"]
            .iter()
            .any(|tag| *tag == format!(" {}", last.text))
}

/// The turn with what stands in quotation marks left out: what is quoted is not said.
fn unquoted(text: &str) -> String {
    const PAIRS: &[(char, char)] =
        &[('"', '"'), ('`', '`'), ('“', '”'), ('‘', '’'), ('「', '」'), ('『', '』'), ('《', '》'), ('\'', '\'')];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let closing = PAIRS.iter().find(|(open, _)| *open == c).map(|(_, close)| *close);
        // An apostrophe is within a word.
        let end = closing.filter(|close| *close != '\'' || !before.is_alphanumeric()).and_then(|close| {
            let ends = |at: &usize| close != '\'' || !after[at + 1..].starts_with(char::is_alphanumeric);
            after.match_indices(close).map(|(at, _)| at).find(ends).map(|at| at + close.len_utf8())
        });
        match end {
            Some(end) => {
                out.push_str("\"\"");
                rest = &after[end..];
            }
            None => {
                out.push(c);
                rest = after;
            }
        }
        before = c;
    }
    out
}

/// A no that refuses what was done: `no, I meant the other one`.
fn is_no(text: &str, first: &Clause<'_>) -> bool {
    let behind = text[first.end..].trim_start().chars().next();
    let alone = behind.is_none_or(|c| matches!(c, ',' | '.' | '!' | ';' | ':' | '，'));
    match first.text {
        "no" => behind.is_some_and(|c| matches!(c, ',' | '.' | '!' | ';')),
        "nope" | "wrong" => alone,
        _ => false,
    }
}

/// Whether what is said after praise stands against it, in its sentence or at the start of the next.
fn is_contradicted(clauses: &[Clause<'_>], praise: usize) -> bool {
    let opens = |place: usize| clauses[place - 1].sentence != clauses[place].sentence;
    let sentence = clauses[praise].sentence;
    (praise + 1..clauses.len())
        .any(|place| clauses[place].contrasts && (clauses[place].sentence == sentence || opens(place)))
        || (0..=praise).any(|place| clauses[place].contrasts && clauses[place].sentence == sentence)
}

fn says(clause: &Clause<'_>) -> Says {
    let order = !clause.asks || clause.text.contains("can you ") || clause.text.contains("could you ");
    if is_retraction(clause.text) && order {
        return Says::Complaint;
    }
    let request = is_request(clause.text);
    if !request && is_complaint(clause) {
        return Says::Complaint;
    }
    if request {
        return Says::Request;
    }
    if clause.asks && !is_gratitude(clause.text) || is_condition(clause.text) {
        return Says::Nothing;
    }
    match praise(clause.text) {
        Says::Nothing if is_gratitude(clause.text) => Says::Gratitude,
        // A condition or a request goes on: make sure that it builds, it works.
        Says::Praise if clause.hangs => Says::Nothing,
        found => found,
    }
}

/// Words at a clause's start that say nothing by themselves.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "please", "now", "next", "then", "also", "and", "ok", "okay", "so", "well", "great", "hm", "hmm", "just", "actually",
    "oh", "ah", "yes", "yeah", "yep", "sorry", "no", "stop", "wait", "cool", "nice", "wow", "hey", "again", "first",
];

/// A clause without what only begins it.
fn opened(mut clause: &str) -> &str {
    loop {
        let word = clause.split(' ').next().unwrap_or_default();
        if !FILLERS.contains(&word) || word.len() == clause.len() {
            return clause;
        }
        clause = clause[word.len()..].trim_start();
    }
}

/// Verbs that begin a request, and words that begin a question.
#[rustfmt::skip]
const ASKING: &[&str] = &[
    "add", "allow", "answer", "apply", "ask", "avoid", "build", "call", "catch", "change", "check", "clean", "close",
    "comment", "commit", "configure", "convert", "copy", "count", "create", "debug", "delete", "deploy", "describe",
    "detect", "disable", "display", "document", "draw", "drop", "emit", "enable", "ensure", "explain", "export",
    "extend", "extract", "fail", "find", "fix", "flag", "format", "generate", "get", "give", "go", "handle", "help",
    "hide", "highlight", "ignore", "implement", "import", "improve", "include", "insert", "inspect", "install",
    "investigate", "keep", "leave", "let's", "lets", "limit", "list", "load", "log", "look", "make", "mark", "measure",
    "mention", "merge", "mock", "move", "open", "parse", "play", "prefer", "print", "profile", "prevent", "push", "put",
    "raise", "read", "record", "refactor", "refuse", "reject", "release", "remove", "rename", "render", "replace",
    "report", "reproduce", "reset", "restart", "retry", "return", "review", "rewrite", "run", "save", "say", "search",
    "see", "send", "set", "show", "simulate", "skip", "sort", "split", "start", "store", "suggest", "support", "switch",
    "tell", "test", "throw", "translate", "try", "tweak", "update", "upgrade", "use", "validate", "verify", "warn",
    "wrap", "write", "how", "what", "where", "which", "who", "whose", "should", "can", "could", "would", "may", "let",
    "do", "does", "did", "is", "are", "was", "were", "will", "has", "have", "why", "any", "don't", "never", "always",
];

#[rustfmt::skip]
const REQUESTS: &[&str] = &[
    "i want ", "i'd like", "i would like", "i need", "we need", "we should", "you should", "it should", "they should",
    "users should", "there should", "must ", "need to ", "needs to ", "ought to",
];

/// How requests end or begin in scripts that do not put the verb first.
#[rustfmt::skip]
const REQUESTS_HAN: &[&str] = &[
    "请", "請", "帮", "幫", "麻烦", "麻煩", "添加", "增加", "加上", "加个", "加個", "加一", "处理", "處理", "提示", "弹出",
    "彈出", "显示", "顯示", "检测", "檢測", "支持", "实现", "實現", "写一", "寫一", "生成", "记录", "記錄", "忽略", "跳过",
    "重试", "确保", "確保", "确认", "確認", "检查", "檢查", "看看", "要返回", "需要", "能不能", "可不可以", "可否",
    "ください", "下さい", "お願い", "してほしい", "して欲しい", "してくれ", "したい", "しましょう", "追加して", "教えて", "検出",
    "表示する", "表示して", "処理する", "対応して", "実装", "書いて", "作って", "確認して", "にして", "してみて",
    "주세요", "부탁", "해줘", "해 줘", "줘", "바랍니다", "추가", "하세요", "해야", "표시", "처리", "구현", "만들", "확인",
];

/// Whether a clause asks for something, or asks something.
fn is_request(clause: &str) -> bool {
    let open = opened(clause);
    let mut words = open.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // "Does not work" leaves out what does not.
    let states =
        matches!(first, "does" | "did" | "is" | "are" | "was" | "has" | "do") && matches!(second, "not" | "still");
    // "Why is it still broken?" is no wish to know.
    let laments = first == "why" && open.contains("still");
    let polite = clause.split(' ').any(|word| word == "please");
    ASKING.contains(&first) && !states && !laments
        || polite
        || REQUESTS.iter().any(|words| open.contains(words))
        || REQUESTS_HAN.iter().any(|words| clause.contains(words))
}

/// Whether a clause asks politely: what is thanked for behind it is still to come.
fn is_polite(clause: &str) -> bool {
    ["please", "can you", "could you", "请", "請", "帮", "幫", "ください", "お願い", "주세요", "부탁", "해줘", "해 줘"]
        .iter()
        .any(|word| clause.contains(word))
}

/// Whether a clause sets a condition. What a person met with is told, and no condition: `when I click it`.
fn is_condition(clause: &str) -> bool {
    let english =
        ["if ", "when ", "whenever ", "unless ", "whether ", "in case ", "until ", "once ", "so that ", "where "];
    let open = opened(clause);
    let met = ["when i ", "when we ", "if i ", "if we "].iter().any(|words| open.contains(words));
    let begins = english.iter().any(|word| open.starts_with(word) || open.contains(&format!(" {word}")));
    begins && !met || HAN_CONDITIONS.iter().any(|word| clause.contains(word))
}

#[rustfmt::skip]
const HAN_CONDITIONS: &[&str] = &[
    "如果", "若", "要是", "时候", "時候", "的话", "的話", "万一", "萬一", "是否", "有没有", "有沒有", "一旦", "情况下", "時要",
    "时要", "もし", "場合", "とき", "なら", "かどうか", "たら", "만약", "경우", "때", "는지", "하면", "되면", "으면", "라면",
];

/// Whether the person takes back what was done: an order about the work itself, at the start of its clause.
fn is_retraction(clause: &str) -> bool {
    let mut open = opened(clause);
    for polite in ["can you ", "could you "] {
        open = opened(open.strip_prefix(polite).unwrap_or(open));
    }
    if matches!(open, "undo" | "revert" | "undo the last change" | "revert the last change" | "undo the change") {
        return true;
    }
    let rest = [
        "undo that",
        "undo this",
        "undo it",
        "revert that",
        "revert this",
        "revert it",
        "roll that back",
        "roll it back",
    ]
    .iter()
    .find_map(|order| open.strip_prefix(order));
    let whole = |rest: &str| {
        let rest = rest.trim();
        rest.is_empty()
            || [
                "change",
                "edit",
                "please",
                "again",
                "back",
                "one",
                "last",
                "now",
                "and ",
                "all",
                "immediately",
                "right",
            ]
            .iter()
            .any(|word| rest.starts_with(word))
    };
    if rest.is_some_and(whole) || open.starts_with("revert your ") || open.starts_with("undo your ") {
        return true;
    }
    let han = [("改回去", ""), ("撤销刚才", ""), ("撤銷剛才", ""), ("元に戻して", "ja"), ("되돌려", "ko")];
    han.iter().any(|(order, script)| {
        let Some(at) = clause.find(order) else { return false };
        let (before, after) = (clause[..at].trim(), clause[at + order.len()..].trim());
        let of_it = before.is_empty()
            || [
                "请",
                "請",
                "先",
                "帮我",
                "麻烦",
                "给我",
                "还是",
                "那就",
                "把它",
                "都",
                "全部",
                "その変更を",
                "この変更を",
                "変更を",
                "さっきの",
                "今の",
                "すぐ",
                "全部",
                "それを",
                "これを",
                "그거",
                "이거",
                "방금",
                "변경",
                "원래대로",
                "다시",
            ]
            .iter()
            .any(|word| before == *word || before.starts_with(word) && before.chars().count() <= 8);
        let ends = match *script {
            "ja" => ["", "ください", "下さい", "くれ", "ほしい", "欲しい"]
                .iter()
                .any(|end| after.starts_with(end) && after.len() <= 15 || after == *end),
            "ko" => after.is_empty() || ["주세요", "줘", "놔", "놓"].iter().any(|end| after.starts_with(end)),
            _ => after.chars().count() <= 6,
        };
        of_it && ends
    })
}

/// Statements that something went wrong, whatever they are about.
#[rustfmt::skip]
const COMPLAINTS: &[&str] = &[
    "still fail", "still broken", "still not ", "still doesn't", "still does not", "still getting", "i still get ",
    "still the same", "still wrong", "still an error", "i still see", "still crash", "still throw", "still off",
    "still happen", "still there", "that broke", "this broke", "same error", "not fixed", "didn't fix", "did not fix", "doesn't fix", "you broke",
    "it broke", "made it worse", "didn't work", "did not work", "didn't help", "did not help", "not what i ",
    "solved nothing", "fixed nothing", "changed nothing", "nothing changed", "no luck", "isn't right", "is not right",
    "'s not right", "not quite right", "isn't working", "is not working", "it's not working", "still isn't",
    "that's wrong", "that is wrong", "this is wrong", "it's wrong", "it is wrong", "looks wrong", "it is broken",
    "it's broken", "that's incorrect", "this is incorrect", "it is incorrect", "result is incorrect",
    "output is incorrect", "result is wrong", "output is wrong", "it crashes", "it now crashes", "now it crashes",
    "it fails", "it now fails", "doesn't work", "does not work", "don't work", "not working",
];

/// Of these, what is said of a thing that is named before.
const OF_A_THING: &[&str] =
    &["doesn't work", "does not work", "don't work", "not working", "is not working", "isn't working"];

/// What is a complaint where it stands against something good: `it works here but …`.
#[rustfmt::skip]
const AGAINST: &[&str] = &[
    "crashes", "fails", "breaks", "throws", "errors out", "is broken", "tests fail", "there's an error",
    "there is an error", "there's still an error", "there is still an error", "i get an error", "gives an error",
    "doesn't compile", "does not compile", "doesn't build", "doesn't run", "doesn't start", "doesn't load",
];

/// What makes another sentence of the words behind it.
#[rustfmt::skip]
const NOT_SO: &[&str] = &[
    "can", "could", "should", "must", "may", "might", "will", "would", "to", "who", "which", "what", "nothing", "not",
    "never", "no", "because", "whatever", "anything",
];

fn is_complaint(clause: &Clause<'_>) -> bool {
    let text = clause.text;
    if is_condition(text) && !told_before_condition(text) || clause.asks && !text.contains("still") && !is_lament(text)
    {
        return false;
    }
    let listed = |words: &&&str| text.find(**words).is_some_and(|at| states(clause, at, words));
    if COMPLAINTS.iter().any(|words| listed(&words)) {
        return !clause.hangs || looks_back(text);
    }
    if clause.contrasts && AGAINST.iter().any(|words| listed(&words)) {
        return true;
    }
    is_wrong_place(text) || han::is_complaint(clause) || japanese::is_complaint(clause) || korean::is_complaint(clause)
}

/// `It fails when the list is empty`: the trouble is said before its condition. What would be so if something was is no
/// trouble yet.
fn told_before_condition(text: &str) -> bool {
    let conditions = [" when ", " whenever ", " once ", " where "];
    let condition = conditions.iter().filter_map(|word| text.find(word)).min();
    let trouble = COMPLAINTS.iter().filter_map(|words| text.find(words)).min();
    let supposed = [" if ", " unless ", " whether "].iter().any(|word| text.contains(word));
    !supposed && matches!((trouble, condition), (Some(trouble), Some(condition)) if trouble < condition)
}

fn is_lament(text: &str) -> bool {
    ["为什么还是", "怎么还是", "怎么又", "为什么又", "なぜまだ", "왜 아직도", "왜 여전히"]
        .iter()
        .any(|words| text.contains(words))
}

/// Whether the words are about what was done before, whatever they stand beside: it *still* fails, *you* broke it.
fn looks_back(text: &str) -> bool {
    [
        "still",
        "same error",
        "you ",
        "you've",
        "not what i ",
        "that's wrong",
        "this is wrong",
        "didn't",
        "did not",
        "nothing",
    ]
    .iter()
    .any(|word| text.contains(word))
        || !text.is_ascii()
}

/// Whether the English words at this place are said of the work.
fn states(clause: &Clause<'_>, at: usize, words: &str) -> bool {
    let text = clause.text;
    let (before, after) = (&text[..at], &text[at + words.len()..]);
    if before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-') {
        return false;
    }
    let mut spoken = before.split_whitespace();
    let last = spoken.next_back().unwrap_or_default();
    // What somebody else is told to have said is another matter.
    if [" says ", " said ", " say ", " reported ", " reports "].iter().any(|word| format!(" {before}").contains(word)) {
        return false;
    }
    let relative = last == "that" && before.trim() != "that" && opened(before.trim()) != "that";
    if relative || NOT_SO.contains(&last) && !(last == "no" && before.trim() == "no") {
        return false;
    }
    let after = after.trim_start();
    let not_meant = ["nothing", "sure", "clear", "certain", "convinced", "decided", "matter", "needed"];
    if not_meant.iter().any(|word| after.starts_with(word)) {
        return false;
    }
    if OF_A_THING.contains(&words) {
        let elsewhere =
            ["old", "previous", "original", "upstream", "legacy", "their", "users", "customer", "currently"];
        let count = before.split_whitespace().count();
        return count <= SUBJECT_WORDS_MAX && !before.split_whitespace().any(|word| elsewhere.contains(&word));
    }
    true
}

/// `Wrong file`, `you changed the wrong file`.
fn is_wrong_place(text: &str) -> bool {
    const PLACES: &[&str] =
        &["file", "place", "one", "way", "function", "branch", "line", "folder", "directory", "repo", "column"];
    let open = opened(text);
    let rest = open.strip_prefix("wrong ").or_else(|| {
        let told = ["you ", "that's ", "that is ", "it's ", "this is "].iter().any(|start| open.starts_with(start));
        told.then(|| open.split_once("the wrong ").map(|(_, rest)| rest)).flatten()
    });
    rest.is_some_and(|rest| {
        PLACES.contains(&rest.split(' ').next().unwrap_or_default()) && rest.split(' ').count() <= 2
    })
}

/// Sentences that say that the work is good.
#[rustfmt::skip]
const PRAISE: &[&str] = &[
    "works now", "works great", "works perfectly", "works fine", "it works", "that works", "works well",
    "works like a charm", "working now", "working great", "that fixed it", "that did it", "that did the trick", "fixed it",
    "exactly what i", "exactly like that", "looks good", "looks great", "looks right", "good job", "great job", "nice work",
    "well done", "problem solved", "solved it", "solved the", "that solved", "is solved", "is fixed now", "all good", "solved",
];

/// Words that praise where they stand by themselves.
const PRAISING: &[&str] = &["perfect", "awesome", "excellent", "lgtm", "brilliant", "fantastic"];

/// What may stand before such a word, and behind it.
#[rustfmt::skip]
const AROUND: &[&str] = &[
    "that", "that's", "this", "it", "it's", "is", "was", "looks", "works", "all", "everything", "absolutely", "simply",
    "really", "just", "so", "oh", "wow", "yes", "ok", "okay", "great", "now", "simply", "pretty", "the", "result", "and",
    "job", "work", "thanks", "thank", "you", "for", "exactly", "again", "to", "me", "from", "here", "ship", "stuff",
    "man", "mate", "very", "much", "merge", "merging", "go", "ahead", "as", "i", "wanted", "expected", "needed", "lets",
];

/// What makes half of praise.
#[rustfmt::skip]
const HALF: &[&str] = &[
    "almost", "nearly", "nothing", "hardly", "barely", "partly", "partially", "mostly", "half", "somewhat", "not",
    "never", "isn't", "doesn't", "didn't", "wasn't", "don't", "only", "sort of", "kind of", "on my machine", "locally",
    "none", "neither", "close to", "far from", "less", "without", "sometimes", "in theory",
];

/// What makes a hope, an order or a story of praise.
#[rustfmt::skip]
const NOT_YET: &[&str] = &[
    "until", "make sure", "ensure", "check", "if", "whether", "should", "when", "so that", "verify", "can", "could",
    "would", "might", "hope", "hopefully", "how", "why", "once", "till", "myself", "i", "we", "i've", "i'm", "he", "she",
    "they", "somebody", "someone", "to", "must", "what", "before", "used",
];

fn praise(clause: &str) -> Says {
    if ["no need", "never mind", "nevermind", "forget it", "forget about it"]
        .iter()
        .any(|words| clause.starts_with(words))
    {
        return Says::HalfPraise;
    }
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let has = |text: &str, list: &[&str]| {
        let spaced = format!(" {} ", words(text).join(" "));
        list.iter().any(|word| spaced.contains(&format!(" {word} ")))
    };
    for phrase in PRAISE {
        let Some(at) = clause.find(phrase) else { continue };
        let (before, after) = (&clause[..at], &clause[at + phrase.len()..]);
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '-')
            || after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        let relative = phrase.starts_with("that") && !opened(before.trim()).is_empty() && !before.trim().is_empty();
        let explains = ["by ", "as follows", "like this", "the same way", "similar"]
            .iter()
            .any(|word| after.trim_start().starts_with(word));
        if inside || relative || explains || phrase == &"all good" && words(after).len() > 1 {
            continue;
        }
        let alone = phrase == &"solved" && words(clause).len() > 2;
        let himself = has(before, NOT_YET) && !before.trim_start().starts_with("i think") || has(after, &["myself"]);
        return match () {
            () if has(clause, HALF) || clause.contains("n't ") => Says::HalfPraise,
            () if himself || alone => Says::Nothing,
            () => Says::Praise,
        };
    }
    for word in PRAISING {
        let Some(at) = clause.find(word) else { continue };
        let (before, after) = (&clause[..at], &clause[at + word.len()..]);
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '-')
            || after.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        if inside {
            continue;
        }
        if has(clause, HALF) || clause.contains("n't ") {
            return Says::HalfPraise;
        }
        let around = |words: Vec<String>| words.iter().all(|word| AROUND.contains(&word.as_str()) || !word.is_ascii());
        // What is made of perfect work is the next request, and no part of the praise.
        let next = words(after).first().is_none_or(|word| AROUND.contains(&word.as_str()) || !word.is_ascii());
        if around(words(before)) && next {
            return Says::Praise;
        }
    }
    match (han::praise(clause), japanese::praise(clause), korean::praise(clause)) {
        (Says::Nothing, Says::Nothing, found) | (Says::Nothing, found, _) | (found, ..) => found,
    }
}

fn is_gratitude(clause: &str) -> bool {
    for word in ["thank you", "thanks", "thx", "thank u"] {
        let Some(at) = clause.find(word) else { continue };
        let (before, after) = (&clause[..at], &clause[at + word.len()..]);
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '-')
            || after.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        // Thanks of somebody, to something, or none.
        let other = ["no ", "a ", "the ", "say ", "says ", "our ", "their "].iter().any(|word| before.ends_with(word))
            || after.trim_start().starts_with("to ")
            || ["page", "note", "message", "mail", "email", "letter", "screen"]
                .iter()
                .any(|word| after.trim_start().starts_with(word));
        if !inside && !other {
            return true;
        }
    }
    let han = ["谢谢", "謝謝", "多谢", "多謝", "感谢", "感謝"].iter().any(|word| {
        clause.find(word).is_some_and(|at| {
            let after = &clause[at + word.len()..];
            clause[..at].chars().count() <= 6
                && (after.chars().count() <= 3 || after.starts_with(['你', '您', '大', '帮', '啦', '了', '！', ' ']))
        })
    });
    let japanese = ["ありがとう", "助かりました"].iter().any(|word| clause.contains(word))
        || ["助かります", "助かる"].iter().any(|word| {
            clause.find(word).is_some_and(|at| {
                ["", "本当に", "とても", "大変", "めっちゃ", "非常に", "すごく"].contains(&clause[..at].trim())
            })
        });
    let korean = ["감사합니다", "감사해요", "고마워", "고맙습니다"]
        .iter()
        .any(|word| clause.find(word).is_some_and(|at| clause[..at].chars().count() <= 8));
    han || japanese && !["ありがとうページ", "ありがとうと", "ありがとうメ"].iter().any(|word| clause.contains(word))
        || korean
}

#[cfg(test)]
mod tests;
