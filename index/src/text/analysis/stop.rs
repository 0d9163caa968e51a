//! Words that ask rather than say: left out of queries, never out of documents.
//!
//! The lists are the usual function and question words of each language. They are general on purpose: a query that
//! consists of them alone is searched as it stands.

use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Class, Folded, hangul};

const ENGLISH: &str = "a about all am an and any are aren as at be been being but by can could couldn did didn do does \
    doesn doing don for from had hadn has hasn have haven having he her here hers herself him himself his how i if in \
    into is isn it its itself just ll me more most my myself no nor not of off on once only or other our ours out over \
    own re same shan she should shouldn so some such than that the their theirs them themselves then there these they \
    this those through to too under until up ve very was wasn we were weren what when where which while who whom whose \
    why will with won would wouldn you your yours yourself please tell many much";

/// Whether a folded word of a script with spaces is left out of queries.
pub(crate) fn is_stop_word(word: &str) -> bool {
    static WORDS: OnceLock<FxHashSet<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| ENGLISH.split_whitespace().collect()).contains(word)
}

/// Question and function phrases of Chinese and Japanese. What stands after `|` must follow but stays in the query,
/// `$` wants the end of a clause, and `=` keeps a word in which a shorter phrase would be found.
const PHRASES: &str = "什么 什么时候 什么时间 什么样 什么人 什么地方 什么叫 叫什么 是什么 有什么 为什么 为何 怎么 怎么样 怎么办 怎样 怎么处理 如何 \
    哪 哪个 哪一个 哪些 哪一些 哪里 哪儿 哪位 哪一位 哪种 哪一种 哪一 哪两个 哪几个 哪几 哪项 哪方面 =哪吒 谁 是谁 谁的 何时 何地 何处 何种 何者 何人 \
    几个 几|年 几|月 几|日 几|号 几|天 几|次 几|种 几|位 几|岁 几|人 几|点 几|层 几|条 几|座 几|枚 几|名 \
    多少 多少个 多久 多|长 多|大 多|高 多|远 多|深 多|宽 多|重 多|厚 多|快 多|久 \
    是否 有没有 是不是 能不能 可不可以 请问 若干 吗$ 呢$ 吧$ 啊$ 呀$ \
    なに なん 何|が 何|を 何|の 何|で 何|か 何|と 何|に 何|は 何|も 何$ 何|年 何|月 何|日 何|人 何|歳 何|回 何|番目 何|時 何|度 何|つ \
    いつ いつ|から いつ|まで =いつも =いつか どこ どこ|で どこ|に どこ|の どこ|から どこ|まで =どこか どれ どの どのよう どのくらい どれくらい どんな どう =どうして どうやって =どうも どちら \
    だれ 誰 なぜ いくつ いくら か$ のか$ 教えて";

/// Korean question words, compared with the stem of a word.
const KOREAN: &str = "무엇 무엇이 무엇인 무엇인가 무엇인가요 무엇입니까 무슨 뭐 뭐야 뭔가 뭔지 뭘 어디 어디서 어디에 어디야 어디인가요 어디인지 누구 누가 누구야 누구인가 언제 언제야 언제인지 \
    어떤 어떻게 어때 어떠 어느 얼마 얼마나 얼마야 몇 왜 왜냐 돼 되 있어 있나요 있는지 인가 인가요 입니까 알려줘 알려 주세요 해줘 해주세요 궁금";

/// Characters of Chinese and Japanese that say nothing of what is asked about where they stand alone: particles,
/// pronouns, auxiliary and the most general verbs, the parts of dates. They are searched, but are no evidence.
const FUNCTION_CHARACTERS: &str = "的得了着过是在有我你您他她它们咱这那此该和与跟及或也都就还又很太最更再才只把被让给对从到向往于以而但并则 \
    之其所吗呢吧啊呀嘛哦个些不没要会能可想去来请说用做里上下中前后时候次为因由等如何什么怎哪谁几多少年月日号私彼今";

/// Words of the same sort, beside those that have only such characters.
const FUNCTION_WORDS: &str = "一个 一下 一些 一直 一样 一般 现在 目前 最近 当时 需要 应该 知道 记得 告诉 觉得 关于 然后 或者 而且 但是 所以 \
    如果 虽然 已经 正在 曾经 自己 大家 其他 其它 方法 办法 原因 理由 场合 自分";

/// The same of Korean, compared with the stem of a word.
const KOREAN_FUNCTION: &str = "우리 저희 나 내 너 제 저 그 이 것 수 때 및 등 더 또 좀 지금 대한 대해 위해 관련 있는 있다 없는 하는 해야 방법 \
    이유 때문 그리고 하지만 나는 저는 나의 저의";

/// The verb that makes verbs of nouns, and its passive, as its forms begin.
const KOREAN_VERBS: &str = "하했한할합해되됐된될됩돼";

/// Whether a folded Han character is no evidence where it is part of no word.
pub(crate) fn is_function_character(character: &str) -> bool {
    FUNCTION_CHARACTERS.contains(character)
}

/// Whether a folded Han word is no evidence.
pub(crate) fn is_function_word(word: &str) -> bool {
    word.chars().all(|c| FUNCTION_CHARACTERS.contains(c))
        || FUNCTION_WORDS.split_whitespace().any(|known| known == word)
}

/// What of a folded Hangul word says what it is about: no particle, no verb made of a noun, nothing of a function word.
pub(crate) fn hangul_content(word: &str) -> &str {
    let stem = hangul::stem(word);
    if KOREAN_FUNCTION.split_whitespace().any(|known| known == stem) {
        return "";
    }
    // Two syllables stay: they are the noun.
    let verb = stem.char_indices().skip(2).find(|(_, c)| KOREAN_VERBS.contains(*c));
    verb.map_or(stem, |(at, _)| &stem[..at])
}

/// Marks the question words in a query as spaces, so that they make no terms, unless nothing else would be left.
pub(crate) fn mask_questions(folded: &mut Folded) {
    let mut masked = Vec::new();
    let mut at = 0;
    while at < folded.len() {
        let class = folded.class(at);
        if class.is_paired() {
            let (taken, hidden) = phrase_at(folded, at).unwrap_or((1, 0));
            masked.extend(at..at + hidden);
            at += taken;
        } else if class == Class::Hangul {
            let mut end = at;
            while folded.class(end) == Class::Hangul {
                end += 1;
            }
            let word = folded.slice(at..end);
            if korean().contains(word) || korean().contains(hangul::stem(word)) {
                masked.extend(at..end);
            }
            at = end;
        } else {
            at += 1;
        }
    }
    let content =
        |class: Class| class.is_paired() || class == Class::Hangul || class.is_alphanumeric() || class == Class::Symbol;
    let left = (0..folded.len()).filter(|&i| content(folded.class(i))).count() - masked.len();
    if left > 0 {
        for i in masked {
            folded.set_class(i, Class::Space);
        }
    }
}

/// How many characters from `at` the longest matching phrase takes, and how many of them it masks.
fn phrase_at(folded: &Folded, at: usize) -> Option<(usize, usize)> {
    let phrases = phrases();
    let first = folded.slice(at..at + 1).chars().next()?;
    let longest = *phrases.longest.get(&first)?;
    (1..=longest.min(folded.len() - at)).rev().find_map(|length| {
        let phrase = phrases.all.get(folded.slice(at..at + length))?;
        let ends = !phrase.at_end || !folded.class(at + length).is_paired();
        // Katakana spells names and loan words, which only look like the phrase once folded.
        let katakana = (at..at + length).any(|i| folded.class(i) == Class::Katakana);
        (ends && !katakana).then_some((if phrase.masked == 0 { length } else { phrase.masked }, phrase.masked))
    })
}

#[derive(Debug, Clone, Copy)]
struct Phrase {
    masked: usize,
    at_end: bool,
}

struct Phrases {
    all: FxHashMap<String, Phrase>,
    longest: FxHashMap<char, usize>,
}

fn phrases() -> &'static Phrases {
    static FOLDED: OnceLock<Phrases> = OnceLock::new();
    FOLDED.get_or_init(|| {
        let mut all = FxHashMap::default();
        let mut longest = FxHashMap::default();
        for entry in PHRASES.split_whitespace() {
            let kept = entry.starts_with('=');
            let at_end = entry.ends_with('$');
            let (masked, follows) = entry.split_once('|').unwrap_or((entry, ""));
            let fold = |text: &str| Folded::new(text.trim_matches(['=', '$'])).text().to_owned();
            let (masked, text) = (fold(masked), fold(masked) + &fold(follows));
            let length = text.chars().count();
            let masked = if kept { 0 } else { masked.chars().count() };
            if let Some(first) = text.chars().next() {
                let most = longest.entry(first).or_insert(0);
                *most = length.max(*most);
            }
            all.insert(text, Phrase { masked, at_end });
        }
        Phrases { all, longest }
    })
}

fn korean() -> &'static FxHashSet<&'static str> {
    static WORDS: OnceLock<FxHashSet<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| KOREAN.split_whitespace().collect())
}
