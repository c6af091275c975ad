"""Commands of `rlnorm` beside those that run and judge a study, one function each; `rlnorm.cli` names them."""
