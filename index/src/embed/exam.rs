//! Whether an embedder's space has a meaning: a short exam, before its word counts.
//!
//! An embedder answers everything with a vector, also one whose weights are damaged, that is pooled the wrong way, that
//! declares a language it was never taught, or that is made of chance. From the outside their vectors look alike. The
//! exam tells them apart: of twelve sentences in each language, each has one that says the same in other words, and a
//! space with a meaning has that one nearest. Pairs share no word that says anything, so that likeness of letters does
//! not pass.
//!
//! It is about the space and not about a question; what an embedder understands of a question is for
//! [`gate`](super::gate).

use super::{Embedder, Purpose, Result};

/// Changes when the exam does: marks given by another exam count for nothing.
pub const EDITION: u32 = 1;

/// From no mark at the first of these shares of right answers to the full one at the second. By chance one in twelve is
/// right: five of twelve are once in five hundred times and get no mark yet, six once in five thousand.
const SHARE_RIGHT: [f32; 2] = [0.42, 0.7];

/// Sentences in each language.
const PAIRS: usize = 12;

/// A sentence and the same in other words.
type Pair = [&'static str; 2];

const ENGLISH: [Pair; PAIRS] = [
    ["The physician advised more sleep.", "A doctor said I should rest."],
    ["He repaired the automobile yesterday.", "She fixed her car last night."],
    ["The infant is crying again.", "My baby will not stop weeping."],
    ["Our plane was delayed by fog.", "Bad weather held up the flight."],
    ["They purchased a large house.", "We bought an enormous home."],
    ["The kettle is boiling.", "Hot water for tea is ready."],
    ["Her salary went up.", "The boss gave me a raise in pay."],
    ["The server ran out of disk space.", "No storage was left on that machine."],
    ["The soccer game ended in a draw.", "Neither football team won the match."],
    ["A thief stole his wallet.", "Somebody robbed me of my purse."],
    ["The library closes at noon.", "You cannot borrow books after twelve."],
    ["The bread has gone mouldy.", "This loaf is spoiled and rotten."],
];

const CHINESE: [Pair; PAIRS] = [
    ["医生建议他多休息。", "大夫让病人好好睡觉。"],
    ["他昨天修好了汽车。", "那辆轿车已经维修完毕。"],
    ["宝宝又哭了。", "小婴儿一直在掉眼泪。"],
    ["航班因为大雾晚点。", "天气太差，飞机没能准时起飞。"],
    ["他们买了一座大房子。", "我们购置了宽敞的住宅。"],
    ["水烧开了。", "可以泡茶啦，壶里已经沸腾。"],
    ["公司给她涨工资。", "老板提高了我的薪水。"],
    ["服务器磁盘满了。", "那台机器没有剩余存储空间。"],
    ["足球比赛打成平局。", "两支球队不分胜负。"],
    ["小偷偷走了钱包。", "有人把我的皮夹子扒了。"],
    ["图书馆中午关门。", "十二点以后就不能借书。"],
    ["面包发霉了。", "这块吐司变质，不能吃。"],
];

const JAPANESE: [Pair; PAIRS] = [
    ["医者は彼に休むように言った。", "ドクターから睡眠を勧められました。"],
    ["昨日、車を修理した。", "自動車が直った。"],
    ["赤ちゃんがまた泣いている。", "ベビーの涙が止まらない。"],
    ["霧のため飛行機が遅れた。", "悪天候でフライトの出発が延びました。"],
    ["彼らは大きな家を買った。", "広い住宅を購入しました。"],
    ["お湯が沸いた。", "やかんが煮え立ち、紅茶を淹れられる。"],
    ["給料が上がった。", "賃金の引き上げが決まりました。"],
    ["サーバーのディスクがいっぱいだ。", "その機械には空き容量がありません。"],
    ["サッカーの試合は引き分けだった。", "どちらのチームも勝てませんでした。"],
    ["泥棒に財布を盗まれた。", "誰かがスリでお金を奪いました。"],
    ["図書館は正午に閉まる。", "十二時以降は本を借りられません。"],
    ["パンにカビが生えた。", "この食パンは腐っていて食べられません。"],
];

const KOREAN: [Pair; PAIRS] = [
    ["의사가 쉬라고 했다.", "병원에서 잠을 더 자라는 말을 들었어요."],
    ["어제 자동차를 고쳤다.", "차 수리가 끝났어요."],
    ["아기가 또 운다.", "갓난애가 눈물을 그치지 않아요."],
    ["안개 때문에 비행기가 늦었다.", "날씨가 나빠 항공편이 지연됐어요."],
    ["그들은 큰 집을 샀다.", "우리는 넓은 주택을 구입했어요."],
    ["물이 끓는다.", "주전자가 뜨거워져 차를 탈 수 있어요."],
    ["월급이 올랐다.", "사장님이 급여를 인상해 주셨어요."],
    ["서버 디스크가 가득 찼다.", "그 컴퓨터에는 저장 공간이 없어요."],
    ["축구 경기는 무승부였다.", "두 팀 모두 이기지 못했어요."],
    ["도둑이 지갑을 훔쳤다.", "누가 제 돈을 소매치기했어요."],
    ["도서관은 정오에 닫는다.", "열두 시 이후에는 책을 빌릴 수 없어요."],
    ["빵에 곰팡이가 피었다.", "이 식빵은 상해서 먹을 수 없어요."],
];

/// The exam in each language that there is one in.
const LANGUAGES: [(&str, &[Pair; PAIRS]); 4] = [("en", &ENGLISH), ("zh", &CHINESE), ("ja", &JAPANESE), ("ko", &KOREAN)];

/// How far this embedder's space was shown to have a meaning, 0 to 1: the mean mark of the languages that it declares
/// and that there is an exam in. 0 where there is none: then nothing was shown.
///
/// Costs the embedding of two dozen short sentences for each language.
///
/// # Errors
/// Those of [`Embedder::embed`].
pub fn examine(embedder: &dyn Embedder) -> Result<f32> {
    let codes = embedder.languages().codes();
    // Who declares nothing is asked in English, and passes or not.
    let asked = |code: &&str| if codes.is_empty() { *code == "en" } else { codes.contains(code) };
    let mut marks = Vec::new();
    for (_, pairs) in LANGUAGES.iter().filter(|(code, _)| asked(code)) {
        marks.push(mark(share_right(embedder, pairs)?));
    }
    Ok(if marks.is_empty() { 0.0 } else { marks.iter().sum::<f32>() / marks.len() as f32 })
}

/// The share of sentences whose other wording is the nearest of all.
fn share_right(embedder: &dyn Embedder, pairs: &[Pair; PAIRS]) -> Result<f32> {
    let asked = embedder.embed(Purpose::Query, &pairs.map(|[one, _]| one))?;
    let other = embedder.embed(Purpose::Passage, &pairs.map(|[_, other]| other))?;
    let right = asked.iter().enumerate().filter(|(at, one)| {
        let near: Vec<f32> = other.iter().map(|other| dot(one, other)).collect();
        near.iter().enumerate().all(|(place, score)| place == *at || *score < near[*at])
    });
    Ok(right.count() as f32 / pairs.len() as f32)
}

fn mark(share: f32) -> f32 {
    let [none, full] = SHARE_RIGHT;
    ((share - none) / (full - none)).clamp(0.0, 1.0)
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{HashingEmbedder, Languages, RandomEmbedder};

    /// Knows which sentences are pairs, in the languages it declares.
    struct Scholar(Languages);

    impl Embedder for Scholar {
        fn id(&self) -> &str {
            "scholar"
        }
        fn dimensions(&self) -> usize {
            PAIRS
        }
        fn languages(&self) -> &Languages {
            &self.0
        }
        fn tokens_max(&self) -> usize {
            512
        }
        fn embed(&self, _purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            let known = |text: &&str| {
                let place = CHINESE.iter().position(|pair| pair.contains(text)).unwrap_or_default();
                (0..PAIRS).map(|at| if at == place { 1.0 } else { 0.0 }).collect()
            };
            Ok(texts.iter().map(known).collect())
        }
        fn unknown_share(&self, _text: &str) -> f32 {
            0.0
        }
    }

    #[test]
    fn chance_and_likeness_of_letters_do_not_pass() {
        for seed in 0..200 {
            assert_eq!(examine(&RandomEmbedder::new(384, seed)).unwrap(), 0.0, "seed {seed}");
        }
        assert_eq!(examine(&HashingEmbedder::new(384)).unwrap(), 0.0);
    }

    #[test]
    fn an_embedder_is_asked_in_the_languages_that_it_declares() {
        assert_eq!(examine(&Scholar(Languages::of(&["zh"]))).unwrap(), 1.0);
        assert_eq!(examine(&Scholar(Languages::english())).unwrap(), 0.0);
        assert_eq!(examine(&Scholar(Languages::chinese())).unwrap(), 0.5, "one of two");
        assert_eq!(examine(&Scholar(Languages::of(&["fi"]))).unwrap(), 0.0, "nothing is shown in Finnish");
    }

    #[test]
    fn pairs_share_no_word_that_says_anything() {
        const SMALL: [&str; 20] = [
            "a", "an", "the", "i", "my", "me", "he", "she", "her", "his", "of", "in", "on", "is", "was", "for", "to",
            "will", "not", "at",
        ];
        for [one, other] in ENGLISH {
            let words = |text: &str| -> Vec<String> {
                let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
                words.filter(|word| !word.is_empty() && !SMALL.contains(&word.as_str())).collect()
            };
            let other = words(other);
            assert!(words(one).iter().all(|word| !other.contains(word)), "{one}");
        }
    }
}
