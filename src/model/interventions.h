// Interventions: what an evaluation changes in the walk along depth, to see what a part of a
// trained network is worth. With v_l what is written at site l and h_l what is read there
// (depth_mixer.h):
//
//   gain   v_l <- g_l v_l before the mixer sees it, so that every later read, gate, key and norm is
//          computed from what is left. 0 drops the sublayer; v_0 is the embedding.
//   order  site l runs sublayer order[l]: its weights and the gain of its pre-norm. The mixer's
//          parameters (gates, queries, stream weights) stay at their site.
//   mask   M[l,i] <- 0 in what read l hands to its sublayer, and nowhere else:
//          h_l <- sum of M[l,i] v_i over the sources i that are left. M is computed by the mixer
//          from all sources, as it is without the mask; what the mixer carries on is not masked. If
//          row l of the token's M is an average (no weight below 0, sum 1), as with attnres and
//          highway, what is left of it is divided by its sum and is one again. A positive factor is
//          invisible behind the pre-norm but for model.norm_eps, so nothing else hangs on that
//          division.
//
// They can be combined: order first (v_l is the output of the sublayer that ran at l), then gain,
// then mask, token by token with that token's M.
#pragma once

#include "mixers/layout.h"

#include <cstdint>
#include <string>
#include <vector>

namespace plumb {

struct Interventions {
    // None yet.
    explicit Interventions(const Layout& layout);

    int sublayers() const { return layout.sublayers(); }
    bool masks(int l) const;  // read l = 1..L+1 has a masked source
    bool masks() const;       // any has

    Layout layout;
    std::vector<double> gain;               // (L+1), by source i = 0..L
    std::vector<int> order;                 // (L), order[l-1] for l = 1..L
    std::vector<std::vector<bool>> masked;  // masked[l-1][i], l = 1..L+1, i < l
};

// What people type, sublayers and sources as numbers 1..L (0: the embedding), ranges "3-6", or
// names: "embed", "layer.2.attn", "layer.2" (all sublayers of the block), "all" (1..L). Lists are
// divided by commas. These throw UsageError naming `option` and what exists.

// Sublayers in the order typed, each once. 0 and "embed" are allowed where `with_embedding`.
std::vector<int> parse_depths(const std::string& text, const Layout& layout,
                              const std::string& option, bool with_embedding);
// Reads 1..L+1, also "output".
std::vector<int> parse_reads(const std::string& text, const Layout& layout,
                             const std::string& option);
// "5,layer.3": v := 0.
void add_drop(Interventions& what, const std::string& text);
// "5=0.5", "layer.3=0" or "1,2=0.5,3=2": v := G v. Gains of one sublayer multiply.
void add_gain(Interventions& what, const std::string& text);
// "4,7" or "layer.1,layer.2": what runs at the two places is exchanged; one after the other if
// there are several.
void add_swap(Interventions& what, const std::string& text);
// "3" masks source 3 in all later reads, "7:3" in the read of sublayer 7 alone, "output:0-4" in the
// final one. The plain form leaves a read's only source in place (v_0 in read 1); it is an error if
// a read would be left without any otherwise.
void add_mask(Interventions& what, const std::string& text);

// The same number of masked sources in every read, drawn without replacement, uniformly from all
// the sources of that read; and as many dropped sublayers (gain 0), drawn from 1..L (and v_0 where
// it is among those dropped). Order and other gains are kept. A function of (seed, draw).
Interventions random_control(const Interventions& what, std::uint64_t seed, int draw);

}  // namespace plumb
