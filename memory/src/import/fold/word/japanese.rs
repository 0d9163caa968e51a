//! Praise and complaints in Japanese.

use super::{Clause, Says, is_condition};

/// Japanese statements that it went wrong, which count where they end their clause.
#[rustfmt::skip]
const COMPLAINTS: &[&str] = &[
    "動かない", "動きません", "動いていません", "動いてない", "動いていない", "直っていない", "直ってない", "直っていません",
    "直ってません", "まだエラー", "まだ失敗", "まだ落ち", "まだ同じ", "まだ文字化け", "同じエラー", "うまくいかない",
    "うまくいきません", "変わっていません", "変わりません", "変わらない", "エラーが残って", "失敗します", "失敗しています",
    "エラーになります", "エラーが出ます",
];

/// Such statements that count where the work is their subject.
#[rustfmt::skip]
const OF_IT: &[&str] = &[
    "違います", "違う", "ちがう", "おかしい", "間違っています", "間違ってます", "間違いです", "間違ってる", "ダメです", "だめです",
    "ダメでした", "だめでした", "壊れました", "壊れています", "壊れてます", "壊れた",
];

/// Words for the work at the start of a clause.
#[rustfmt::skip]
const WORK: &[&str] = &[
    "それ", "これ", "そこ", "そう", "まだ", "やっぱり", "やはり", "結果", "出力", "表示", "何か", "なんか", "いや", "いえ",
    "ちょっと", "全然", "動作", "挙動", "まったく", "その変更", "この変更", "また", "今度は", "修正", "まだ少し",
];

/// Whether a clause says that the work went wrong.
pub(super) fn is_complaint(clause: &Clause<'_>) -> bool {
    let text = clause.text;
    if is_condition(text) {
        return false;
    }
    let ends = |after: &str| {
        after.is_empty()
            || [
                "です",
                "よ",
                "ね",
                "な",
                "んです",
                "のです",
                "ので",
                "から",
                "けど",
                "が",
                "し",
                "みたい",
                "まま",
                "ました",
                "ます",
                "って",
                "という",
                "ようです",
                "と思い",
                "しています",
                "のまま",
                " ",
                "た",
            ]
            .iter()
            .any(|end| after.starts_with(end))
    };
    let topic = |after: &str| {
        after.contains('を') || after.contains("ように") || after.contains("という") || after.contains("って言")
    };
    let said = |words: &&str| text.find(*words).map(|at| (&text[..at], &text[at + words.len()..]));
    COMPLAINTS.iter().filter_map(said).any(|(_, after)| ends(after) && !topic(after))
        || OF_IT.iter().filter_map(said).any(|(before, after)| {
            let of_work = before.is_empty() || WORK.iter().any(|word| before.starts_with(word));
            of_work && ends(after) && !topic(after) && !clause.hangs
        })
}

/// Statements that it went well.
#[rustfmt::skip]
const PRAISE: &[&str] = &[
    "完璧", "動きました", "動くようになりました", "直りました", "解決しました", "うまくいきました", "いい感じ", "バッチリ",
    "ばっちり", "問題ありません", "問題なさそう",
];

/// What a clause says of the work where it praises.
pub(super) fn praise(clause: &str) -> Says {
    for words in PRAISE {
        let Some(at) = clause.find(words) else { continue };
        let (before, after) = (&clause[..at], &clause[at + words.len()..]);
        let ends = ["です", "でした", "ね", "よ", "！", "です ね", "ですね", "ですよ", "でしたね", " ", "。", "👍"];
        if !after.is_empty() && !ends.iter().any(|end| after.starts_with(end)) || after.ends_with('か') {
            continue;
        }
        if ["ほぼ", "だいたい", "ほとんど", "一部", "半分", "一応", "ローカル", "手元", "あと少し"]
            .iter()
            .any(|word| before.contains(word))
        {
            return Says::HalfPraise;
        }
        let order = ["まだ", "すれば", "れば", "できれば", "自分で", "私が", "ように", "と言"];
        if !order.iter().any(|word| before.contains(word)) {
            return Says::Praise;
        }
    }
    Says::Nothing
}
