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
    "the interval leaves both open; only added seeds, judged by themselves, may decide it": (
        "구간이 양쪽을 남긴다. 새로 더한 시드만 따로 판정해야 정해질 수 있다"
    ),
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
    "harmful": "해로움",
    "no benefit of the margin": "허용차만큼의 이득이 없음",
    "no benefit": "이득 없음",
    "the same": "같음",
    "the same to within the margin": "허용차 안에서 같음",
    "open": "미정",
    # questions and rules
    "Is “{a}” better than “{b}”, by more than {size}?": "“{a}”이(가) “{b}”보다 {size} 넘게 나은가?",
    "Is “{a}” not better than “{b}” by {size}?": "“{a}”이(가) “{b}”보다 {size}만큼 낫지 않은가?",
    "Are “{a}” and “{b}” the same to within {size}?": "“{a}”와(과) “{b}”이(가) {size} 안에서 같은가?",
    "Is “{a}” no worse than “{b}” by {size}?": "“{a}”이(가) “{b}”보다 {size}만큼 나쁘지 않은가?",
    "Is the spread of “{a}” smaller than the spread of “{b}”, by {size}?": (
        "“{a}”의 퍼짐이 “{b}”의 퍼짐보다 {size} 넘게 작은가?"
    ),
    "Is the spread of “{a}” no smaller than the spread of “{b}”, by {size}?": (
        "“{a}”의 퍼짐이 “{b}”의 퍼짐보다 {size}만큼 작지 않은가?"
    ),
    "Is the spread of “{a}” the same as the spread of “{b}”, by {size}?": (
        "“{a}”의 퍼짐과 “{b}”의 퍼짐이 {size} 안에서 같은가?"
    ),
    "Is the spread of “{a}” no larger than the spread of “{b}”, by {size}?": (
        "“{a}”의 퍼짐이 “{b}”의 퍼짐보다 {size}만큼 크지 않은가?"
    ),
    "Is the benefit of “{a}” over “{b}” in the first score larger than in the second, by {size} standard deviations?": (
        "“{b}” 대비 “{a}”의 이득이 첫째 점수에서 둘째 점수에서보다 표준편차의 {size} 넘게 큰가?"
    ),
    "Is the benefit of “{a}” over “{b}” in the first score no larger than in the second, by {size} standard "
    "deviations?": "“{b}” 대비 “{a}”의 이득이 첫째 점수에서 둘째 점수에서보다 표준편차의 {size}만큼 크지 않은가?",
    "Is the benefit of “{a}” over “{b}” in the first score the same as in the second, by {size} standard "
    "deviations?": "“{b}” 대비 “{a}”의 이득이 두 점수에서 표준편차의 {size} 안에서 같은가?",
    "Is the benefit of “{a}” over “{b}” in the first score no smaller than in the second, by {size} standard "
    "deviations?": "“{b}” 대비 “{a}”의 이득이 첫째 점수에서 둘째 점수에서보다 표준편차의 {size}만큼 작지 않은가?",
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
    "The margin of a ratio holds both ways: ×1.25 stands for ×0.8 (1/1.25) too.": (
        "비율의 허용차는 양쪽으로 같다. ×1.25는 ×0.8(1/1.25)도 뜻한다."
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
    "in short": "요약",
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
    "known to be better": "더 낫다고 알려진 양성 대조군",
    "against {metric}": "견주는 점수: {metric}",
    "a run's score is the {summary} over {count} points": "실행의 점수는 지점 {count}개에 걸친 {summary}",
    "range": "범위",
    "slope": "기울기",
    "near best": "최선에 가까운 비율",
    "drawn by the seed from {low} to {high}": "{low}에서 {high} 사이에서 시드가 뽑음",
    "every point sets its own": "지점마다 정한다",
    "controls take the reference's where they state none": "따로 정하지 않은 대조군은 기준군의 학습률을 쓴다",
    "own best rate: each arm's of {rates}, chosen on seeds {first} to {last}": (
        "각자의 최적 학습률: {rates} 중에서 시드 {first}–{last}로 고른다"
    ),
    "common rate: all arms at the setting's lr": "공통 학습률: 모든 실험군이 설정의 lr",
    "{count} seeds": "시드 {count}개",
    "seeds from {first} on": "시드 {first}부터",
    "seconds a call (lower is better)": "호출당 초 (낮을수록 좋음)",
    "{count} interleaved repetitions": "번갈아 {count}회 반복",
    "On {cases} random cases in float64": "float64에서 무작위 사례 {cases}개",
    "the largest error may be {tolerance} of the terms": "가장 큰 오차는 항들의 {tolerance}까지",
    "because {why}": "이유: {why}",
    "updates": "업데이트",
    "epochs": "에포크",
    "environment steps": "환경 스텝",
    # curves
    "Return": "반환값",
    "Loss": "손실",
    "Mean Q": "평균 Q",
    "Epsilon": "엡실론",
    "Test accuracy": "테스트 정확도",
    "at the middle point": "(가운데 지점)",
    # the report
    "report": "보고서",
    "Claims about normalization, put to the test": "정규화에 대한 주장들의 시험",
    "To the answers": "답으로 건너뛰기",
    "Answers": "답",
    "All decisive comparisons": "판정을 가르는 모든 비교",
    "{count} parts, in units of their margin": "부분 {count}개, 허용차 단위",
    "How to read this": "읽는 법",
    "1 claim": "주장 1개",
    "{count} claims": "주장 {count}개",
    "No claims yet.": "아직 주장이 없다.",
    "{count} of {total} claims shown": "주장 {total}개 중 {count}개 표시",
    "decided by training many seeds": "여러 시드를 학습하여 판정",
    "by algebra in float64": "float64 대수로 판정",
    "by timing side by side": "나란히 시간을 재어 판정",
    "Questions that no note asks": "노트에 없는 물음",
    "previews": "미리 보기",
    "a preview: agents of a short preset are half trained, and only full gives verdicts": (
        "미리 보기: 짧은 프리셋의 에이전트는 학습이 덜 되었고, full만 판정을 준다"
    ),
    "Filter and sort": "거르기와 정렬",
    "all": "모두",
    "note": "노트",
    "kind": "종류",
    "sort by": "정렬",
    "size of effect": "효과 크기",
    "title": "제목",
    "effect": "효과",
    "exact": "정확",
    "cost": "비용",
    "What was tested, precisely": "정확히 무엇을 시험했나",
    "The note says": "노트의 말",
    "Made precise": "정확한 진술",
    "Kept answer": "보관된 답",
    "the answer to an earlier design of the claim": "주장의 이전 설계에 대한 답",
    "Kept in brackets: the answer to an earlier design of the claim.": "괄호 안의 보관: 주장의 이전 설계에 대한 답.",
    "a preview of {count} of {total} parts that decide it": "판정하는 {total}부분 중 {count}부분의 미리 보기",
    "*: of some of the parts that decide the claim; 'full' runs the others too.": (
        "*: 주장을 판정하는 부분 중 일부만의 결과. 나머지는 'full'에서 실행한다."
    ),
    "Published work (not given to the judge)": "발표된 연구 (판정에 쓰지 않음)",
    "Cost": "비용",
    "{time} of one core": "코어 하나로 {time}",
    "Run it again": "다시 실행",
    "No part of this claim has been run yet.": "이 주장의 부분을 아직 실행하지 않았다.",
    "No run of this part has a value to draw yet.": "이 부분에는 아직 그릴 값이 없다.",
    "Preset": "프리셋",
    "took {time}": "{time} 걸림",
    "Command": "명령",
    "Commit": "커밋",
    "Date": "날짜",
    "Hardware": "하드웨어",
    "Versions": "버전",
    "Rows computed at commit {commit}.": "커밋 {commit}에서 계산한 행.",
    "part": "부분",
    "comparisons": "비교",
    "drawing": "그림",
    "exact parts": "정확한 부분",
    "estimate, interval": "추정값, 구간",
    "tolerance": "허용 오차",
    "runs per arm": "실험군당 실행",
    "Why this tolerance: {why}.": "이 허용 오차의 이유: {why}.",
    "arm": "실험군",
    "arms": "실험군",
    "role": "역할",
    "treatment": "처치군",
    "reference": "기준군",
    "negative control": "음성 대조군",
    "positive control": "양성 대조군",
    "learning rate": "학습률",
    "mean score": "평균 점수",
    "95 % interval": "95 % 구간",
    "interquartile mean": "사분위 평균",
    "common rate": "공통 학습률",
    "own best rate": "각자의 최적 학습률",
    "normalized return": "정규화한 반환값",
    "Fraction of runs above it": "그보다 높은 실행의 비율",
    "Across environments": "환경 전체",
    "shown, never judged": "보일 뿐 판정하지 않음",
    "Chance that a run of “{a}” beats one of “{b}”: {chance}.": "“{a}”의 실행이 “{b}”의 실행보다 나을 확률: {chance}.",
    "Whole runs are resampled within their environment; 95 % intervals. Agarwal et al. 2021, arXiv:2108.13264.": (
        "실행을 통째로 환경 안에서 다시 뽑은 95 % 구간. Agarwal et al. 2021, arXiv:2108.13264."
    ),
    "final return": "최종 반환값",
    "second score": "둘째 점수",
    "met the goal": "목표 도달 비율",
    "steps to the first success": "첫 성공까지의 스텝",
    "diverged": "발산",
    "{count} missing": "{count}개 없음",
    "The same evidence, asked in other ways": "같은 증거를 달리 묻기",
    "Settings": "설정",
    "setting": "설정",
    "settings that differ": "서로 다른 설정",
    "{steps} {unit} per run": "실행당 {steps} {unit}",
    "{level} interval decides": "{level} 구간이 판정한다",
    "each arm at its own best of {count} learning rates, chosen on other seeds": (
        "실험군마다 다른 시드로 고른 학습률 {count}개 중 최적"
    ),
    "“{name}” is {known} and must be told apart": "“{name}”은(는) {known}으로 구별되어야 한다",
    "Supported if the whole interval lies beyond the margin, refuted if it ends short of it.": (
        "구간 전체가 허용차를 넘으면 지지, 그에 못 미치면 반박."
    ),
    "Refuted if the whole interval lies beyond the margin, supported if it ends short of it.": (
        "구간 전체가 허용차를 넘으면 반박, 그에 못 미치면 지지."
    ),
    "Supported if the 90 % interval lies inside the margin, refuted if the 95 % one lies outside.": (
        "90 % 구간이 허용차 안이면 지지, 95 % 구간이 밖이면 반박."
    ),
    "Supported if the 90 % interval stays above the worse margin, refuted if the 95 % one lies below.": (
        "90 % 구간이 나쁜 쪽 허용차 위면 지지, 95 % 구간이 그 아래면 반박."
    ),
    "One case that misses the tolerance refutes it.": "허용 오차를 벗어나는 사례 하나면 반박된다.",
    "Should the estimate stay, about {count} fresh runs an arm decide it: {fresh}.": (
        "추정값이 그대로라면 실험군당 새 실행 약 {count}회로 정해진다: {fresh}."
    ),
    "Clear of the margin: a difference that matters.": "허용차를 벗어남: 의미 있는 차이.",
    "Inside the margin: no difference that matters.": "허용차 안: 의미 있는 차이 없음.",
    "Across the margin: still open.": "허용차에 걸침: 아직 미정.",
    "The shade is the margin to both sides of no effect; right is better for the treatment. All comparisons share one "
    "axis in units of the margin (ratios: of its logarithm); an arrow says that an interval goes on. In exact parts "
    "the dot is the largest error on a logarithmic axis, the shade what the tolerance allows.": (
        "음영은 효과 없음 양쪽의 허용차이며, 오른쪽일수록 처치군이 낫다. 모든 비교는 허용차(비율은 그 로그) 단위의 한 "
        "축을 쓰고, 화살표는 구간이 더 이어진다는 뜻이다. 정확한 부분에서 점은 로그 축 위의 가장 큰 오차, 음영은 "
        "허용 오차다."
    ),
    "Save as CSV": "CSV로 저장",
    "Show every run": "모든 실행 보기",
    "score of every run": "모든 실행의 점수",
    "mean": "평균",
    "at the end": "끝에서",
    "log axis": "로그 축",
    "Lines: mean over whole runs with its 95 % band; thin and dashed: mean of the runs still going after others "
    "diverged. Points: runs; crosses: diverged runs; diamond: mean with its 95 % interval; "
    "shade: reference ± margin.": (
        "선: 실행 전체의 평균과 95 % 띠, 가는 점선: 다른 실행이 발산한 뒤 남은 실행의 평균. 점: 실행, 가위표: 발산한 "
        "실행, 마름모: 평균과 95 % 구간, 음영: 기준군 ± 허용차."
    ),
    # TensorBoard
    "answers": "답",
    "The part that decides each claim": "각 주장의 판정을 가르는 부분",
    "units of the margin": "허용차 단위",
    "{count} more runs are left out, of {claims}: `rlnorm board DIR --claims ID` shows them.": (
        "{claims}의 실행 {count}개는 뺐다. `rlnorm board DIR --claims ID`로 볼 수 있다."
    ),
    # the notes
    "BatchNorm in general, its backward formulas, ReLU, and DQN": "배치 정규화 일반, 역전파 공식, ReLU, DQN",
    "motives, and the full derivation of the backward pass": "동기와 역전파의 전체 유도",
    "BatchNorm in practice: no bias, train and test statistics, covariate shift": (
        "실전의 배치 정규화: 편향 생략, 학습과 테스트의 통계, 공변량 이동"
    ),
    "concept, process, effects, cautions": "개념, 과정, 효과, 주의할 점",
    "batch learning, order, folding at inference, convolutions, weight and layer norm, self-normalizing nets": (
        "배치 학습, 순서, 추론 때의 합치기, 합성곱, 가중치 정규화와 층 정규화, 자기 정규화 신경망"
    ),
}
