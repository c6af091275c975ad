"""What we say, in Korean. Keys are the English texts as they stand in the code; a test finds each that is missing."""

from collections.abc import Mapping

SAID: Mapping[str, str] = {
    # verdicts
    "supported": "지지됨",
    "refuted": "반박됨",
    "inconclusive": "판단 보류",
    "insufficient": "근거 부족",
    "points to supported": "지지 쪽을 가리킴",
    "points to refuted": "반박 쪽을 가리킴",
    "open so far": "아직 미정",
    "the evidence fits the claim and rules out its contrary": "증거가 주장과 맞고 그 반대를 배제한다",
    "the evidence rules the claim out": "증거가 주장을 배제한다",
    "the interval leaves both open; more seeds may decide it": "구간이 양쪽을 남긴다. 시드를 늘리면 정해질 수 있다",
    "too few runs, or an effect could not have shown here": "실행이 너무 적거나, 여기서는 효과가 드러날 수 없었다",
    # answers
    "Nothing of it has been run yet.": "아직 아무것도 실행하지 않았다.",
    "too little evidence": "근거가 부족함",
    "in {count} of {total} parts": "(부분 {total}개 중 {count}개)",
    "it holds in all {cases} random cases": "무작위 사례 {cases}개 모두에서 성립한다",
    "it fails": "성립하지 않는다",
    "{missed} of {cases} miss": "{cases} 중 {missed} 어긋남",
    "and {count} more": "외 {count}개",
    "{treatment} against {reference}": "{reference} 대비 {treatment}",
    "the treatment": "처치군",
    "the reference": "기준군",
    "better": "더 나음",
    "worse": "더 나쁨",
    "the same to within the margin": "허용차 안에서 같음",
    "open": "미정",
    # questions and rules
    "Is “{a}” better than “{b}”, by more than {size}?": "“{a}”이(가) “{b}”보다 {size} 넘게 나은가?",
    "Is “{a}” not better than “{b}” by {size}?": "“{a}”이(가) “{b}”보다 {size}만큼 낫지 않은가?",
    "Are “{a}” and “{b}” the same to within {size}?": "“{a}”와(과) “{b}”이(가) {size} 안에서 같은가?",
    "Is “{a}” no worse than “{b}” by {size}?": "“{a}”이(가) “{b}”보다 {size}만큼 나쁘지 않은가?",
    "a factor of {figure}": "{figure}배",
    "supported if every part is, refuted if any part is": "모든 부분이 지지되면 지지, 하나라도 반박되면 반박",
    "supported if any part is, refuted if every part is": "하나라도 지지되면 지지, 모든 부분이 반박되면 반박",
    "supported if every part that counts is, refuted if any part that counts is": (
        "세는 부분이 모두 지지되면 지지, 세는 부분이 하나라도 반박되면 반박"
    ),
    "supported if any part that counts is, refuted if every part that counts is": (
        "세는 부분이 하나라도 지지되면 지지, 세는 부분이 모두 반박되면 반박"
    ),
    "these count": "세는 부분",
    "these do not count": "세지 않는 부분",
    "beside": "곁들임",
    "higher is better": "높을수록 좋음",
    "lower is better": "낮을수록 좋음",
    "worst of {cases}": "{cases}개 중 최악",
    "Preview: preset {which} is half trained; only 'full' gives verdicts.": (
        "미리 보기: 프리셋 {which}은(는) 학습이 덜 되었고, 'full'만 판정을 준다."
    ),
    "{percent} of both arms' runs diverged.": "두 실험군 실행의 {percent}가 발산했다.",
    "Smallest counterexample": "가장 작은 반례",
    # how to read
    "Estimate: treatment minus reference (×: ratio) in the part that decides.": (
        "추정값: 판정을 가른 부분에서 처치군 빼기 기준군 (×: 비율)."
    ),
    "Parts: rlnorm show ID --results DIR. Kept: docs/results. Rules: {docs}": (
        "부분: rlnorm show ID --results DIR. 보관: docs/results. 규칙: {docs}"
    ),
    "Estimate: mean of the treatment's runs minus mean of the reference's; where marked ×, their ratio.": (
        "추정값: 처치군 실행의 평균에서 기준군의 평균을 뺀 값이며, ×표는 비율이다."
    ),
    "Interval: 95 % where better or not is asked, 90 % for equivalence and non-inferiority.": (
        "구간: 더 나은지를 물을 때는 95 %, 동등성과 비열등성에는 90 %."
    ),
    "Margin: the smallest difference that matters, fixed before the first run; the interval must clear it.": (
        "허용차: 의미가 있는 가장 작은 차이로 첫 실행 전에 정했으며, 구간이 이를 벗어나야 한다."
    ),
    "Parts marked (beside) are judged and shown, and do not count for the overall verdict.": (
        "(곁들임) 표시가 있는 부분은 판정하여 보이되 전체 판정에는 세지 않는다."
    ),
    "Exact parts are algebra: their estimate is the largest error of all cases, their margin the tolerance.": (
        "정확한 부분은 대수로 정한다. 추정값은 모든 사례에서 가장 큰 오차, 허용차는 허용 오차다."
    ),
    "No claim has been run yet: there is no verdict to show.": "아직 실행한 주장이 없어 보일 판정이 없다.",
    # heads
    "claim": "주장",
    "answer": "답",
    "estimate": "추정값",
    "interval": "구간",
    "margin": "허용차",
    "runs": "실행",
    "seeds": "시드",
    "verdict": "판정",
    "kept": "보관",
    "its parts": "부분",
    # what a claim tests
    "Source": "출처",
    "Notes": "노트",
    "Overall": "전체",
    "Elsewhere": "문헌",
    "Asked": "질문",
    "Score": "점수",
    "Arms": "실험군",
    "Setting": "설정",
    "Rates": "학습률",
    "Size": "규모",
    "States": "명제",
    "Tested": "시험",
    "group {name}": "묶음 {name}",
    "{name} engine": "{name} 엔진",
    "as below": "아래와 같음",
    "known to be worse": "더 나쁘다고 알려진 음성 대조군",
    "a run's score is its mean over the rates {rates}": "실행의 점수는 학습률 {rates}에 걸친 평균",
    "the negative control takes the reference's": "음성 대조군은 기준군의 학습률을 쓴다",
    "own best rate: each arm's of {rates}, chosen on seeds {first} to {last}": (
        "각자의 최적 학습률: {rates} 중에서 시드 {first}–{last}로 고른다"
    ),
    "common rate: all arms at the setting's lr": "공통 학습률: 모든 실험군이 설정의 lr",
    "{count} seeds": "시드 {count}개",
    "always seeds {first} to {last}, at every rate: --seeds does not apply": (
        "모든 학습률에서 언제나 시드 {first}–{last}이며 --seeds는 적용되지 않는다"
    ),
    "seeds from {first} on": "시드 {first}부터",
    "seconds a call (lower is better)": "호출당 초 (낮을수록 좋음)",
    "{count} interleaved repetitions": "번갈아 {count}회 반복",
    "On {cases} random cases in float64": "float64에서 무작위 사례 {cases}개",
    "the largest error may be {tolerance} of the terms": "가장 큰 오차는 항들의 {tolerance}까지",
    "because {why}": "이유: {why}",
    "updates": "업데이트",
    "environment steps": "환경 스텝",
    # curves
    "Return": "반환값",
    "Loss": "손실",
    "Mean Q": "평균 Q",
    "Epsilon": "엡실론",
    "Test accuracy": "테스트 정확도",
}
