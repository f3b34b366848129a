// The [data] table of a config.
#pragma once

#include "core/field.h"

#include <string>

namespace plumb {

struct DataConfig {
    std::string path;
    long vocab = 0;
    std::string dtype = "auto";
    std::string task;
    long task_vocab = 32;
    long task_pairs = 8;
    long task_hops = 2;
    long task_modulus = 23;
    long task_order = 1;

    template <class V>
    void visit(V& v) {
        v("path", path,
          "folder of tokens, made by `plumb data prepare`, or nanoGPT's train.bin and val.bin");
        v("vocab", vocab,
          "size of the vocabulary of token files; 0: that of meta.json or meta.pkl, else the "
          "largest token + 1",
          within(0, 1 << 24));
        v("dtype", dtype,
          "type of the numbers in token files that neither a header nor meta.json describes; auto: "
          "uint16, and files that look otherwise are refused",
          Choices{"auto", "uint16", "uint32"});
        v("task", task, "built-in task to learn instead of files; `plumb list tasks` shows all",
          Choices{"", "copy", "mqar", "khop", "modadd", "markov"});
        v("task_vocab", task_vocab, "number of different symbols", within(2, 1 << 24));
        v("task_pairs", task_pairs, "key-value pairs of a sequence that are to be remembered",
          within(1, 1 << 24));
        v("task_hops", task_hops, "pointers k to follow one after the other", within(1, 1 << 24));
        v("task_modulus", task_modulus, "modulus p of the sums a + b mod p", within(2, 1 << 24));
        v("task_order", task_order, "symbols that the next one depends on", within(1, 64));
    }
};

}  // namespace plumb
