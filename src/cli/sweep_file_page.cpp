#include "cli/sweep_file_page.h"

namespace plumb {

const char* const kSweepFilePage = R"(sweep-file

The runs that answer one question, in TOML. The first comment is the hypothesis;
it is shown with every result. Settings are those of `plumb list settings`.

  [sweep]
  base = "base.toml"     settings of all runs; relative to this file
  seeds = "1..5"         or [1, 2, 7]; this is the default
  baseline = "standard"  the variant that others are compared with; without it
                         the one called standard
  metric = "final_val_loss"
                         of summary.json; final_test_loss where the data have a
                         test split, final_val_bpb
  margin = 0.005         smallest difference that matters, in the metric's unit
  looks = [3, 5]         numbers of seeds at which results will be tested, said
                         beforehand; alpha is shared among them (all seeds)
  match = "tokens"       or params, flops, time: what variants have in common
  match_by = "train.steps"
                         the setting that is moved to match (params:
                         model.mlp_hidden); time: see `plumb sweep calibrate`
  out = "runs/NAME"      the sweep's folder, seen from where you type; NAME is
                         this file's
  scale = "cpu"          which [scale.NAME]; --scale NAME is another
  lock = "flock"         lease, where the file system has no locks

  [[variant]]            each a name and settings; mixer.name = [...] under
  name = "block"         [grid] makes variants too
  mixer.name = "attnres_block"

  [grid]                 every combination of these lists
  mixer.block_size = [2, 4]
  [zip]                  lists of one length that move together
  model.layers = [6, 12]
  model.width = [64, 96]

  [[when]]               settings for runs that match, in order
  if = { mixer.name = "mhc", model.layers = [6, 12] }
  set = { train.warmup = 200 }
  [[exclude]]            runs that match every line are left out, of [tune] too
  mixer.name = "attnres"
  model.layers = 12

  [tune]                 first stage: the values that are tried; then the seeds
  train.lr = [1e-3, 2e-3]
                         are run with what did best on final_val_loss
  seeds = "1001..1005"   others than those above; as many, from 1001
  per = ["variant"]      what has a choice of its own; variant and every key of
                         [grid] and [zip] unless said

  [cull]                 off unless said: a run is stopped whose validation loss
  at = 0.25              at this share of its steps is more than
  drop_above = 2.0       this many nats above the best; compare leaves it out

  [scale.gpu]            settings over the base; lists under [scale.gpu.grid]
  train.steps = 10000    and [scale.gpu.zip] take the place of those above

Later wins: base, scale, --set, grid and zip, variant, when, tune, seed. A key of
[grid] that a variant does not read is no part of its runs.
)";

}  // namespace plumb
