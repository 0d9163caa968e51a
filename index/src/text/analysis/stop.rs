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
    why will with won would wouldn you your yours yourself please tell";

/// Whether a folded word of a script with spaces is left out of queries.
pub(crate) fn is_stop_word(word: &str) -> bool {
    static WORDS: OnceLock<FxHashSet<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| ENGLISH.split_whitespace().collect()).contains(word)
}

/// Question and function phrases of Chinese and Japanese.
const PHRASES: &str = "什么 什么时候 什么时间 什么样 什么人 什么地方 什么叫 为什么 为何 是什么 有什么 叫什么 甚么 怎么 怎么样 怎么办 怎样 怎么处理 如何 \
    哪 哪个 哪一个 哪些 哪一些 哪里 哪儿 哪位 哪一位 哪种 哪一种 哪一 哪两个 哪几个 哪几 哪项 哪方面 谁 是谁 谁的 何 何时 何地 何处 何种 何者 何人 \
    几 几个 多少 多少个 多久 多 是否 有没有 是不是 能不能 可不可以 请问 一下 吗 呢 吧 啊 呀 的 了 若干 之前 上次 \
    なに なん 何 何が 何を 何の 何で 何か 何と 何に 何は 何という 何といいますか 何ですか 何でしょうか 何と呼ばれる いつ いつから \
    どこ どこで どこに どこの どこから どれ どの どのような どのように どのくらい どれくらい どんな どう どうして どちら だれ だれが だれの 誰 誰が 誰の 誰に なぜ いくつ いくら \
    ですか でしょうか ますか ましたか でしたか のか か という といいますか ください 教えて";

/// Korean question words, compared with the stem of a word.
const KOREAN: &str = "무엇 무엇이 무엇인 무엇인가 무엇인가요 무엇입니까 무슨 뭐 뭐야 뭔가 뭔지 뭘 어디 어디서 어디에 어디야 어디인가요 어디인지 누구 누가 누구야 누구인가 언제 언제야 언제인지 \
    어떤 어떻게 어때 어떠 어느 얼마 얼마나 얼마야 몇 왜 왜냐 돼 되 있어 있나요 있는지 인가 인가요 입니까 알려줘 알려 주세요 해줘 해주세요 궁금";

/// Marks the question words in a query as spaces, so that they make no terms, unless nothing else would be left.
pub(crate) fn mask_questions(folded: &mut Folded) {
    let mut masked = Vec::new();
    let mut at = 0;
    while at < folded.len() {
        let class = folded.class(at);
        if class.is_paired() {
            let length = phrase_at(folded, at);
            masked.extend(at..at + length);
            at += length.max(1);
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

/// The length of the longest phrase of the list that starts at `at`, or 0.
fn phrase_at(folded: &Folded, at: usize) -> usize {
    let phrases = phrases();
    let Some(&longest) = folded.slice(at..at + 1).chars().next().and_then(|first| phrases.longest.get(&first)) else {
        return 0;
    };
    (1..=longest.min(folded.len() - at)).rev().find(|&n| phrases.all.contains(folded.slice(at..at + n))).unwrap_or(0)
}

struct Phrases {
    all: FxHashSet<String>,
    longest: FxHashMap<char, usize>,
}

fn phrases() -> &'static Phrases {
    static FOLDED: OnceLock<Phrases> = OnceLock::new();
    FOLDED.get_or_init(|| {
        let all: FxHashSet<String> =
            PHRASES.split_whitespace().map(|phrase| Folded::new(phrase).text().to_owned()).collect();
        let mut longest = FxHashMap::default();
        for phrase in &all {
            if let Some(first) = phrase.chars().next() {
                let length = longest.entry(first).or_insert(0);
                *length = phrase.chars().count().max(*length);
            }
        }
        Phrases { all, longest }
    })
}

fn korean() -> &'static FxHashSet<&'static str> {
    static WORDS: OnceLock<FxHashSet<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| KOREAN.split_whitespace().collect())
}
