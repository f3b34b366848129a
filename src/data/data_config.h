// The [data] table of a config. The options of tasks stand beside them (tasks.h).
#pragma once

#include "core/options.h"

#include <string>

namespace plumb {

// Of the table (tasks.h).
const std::vector<Option>& task_options();
const Choices& task_choices();  // "": none

struct DataConfig {
    std::string path;
    long vocab = 0;
    std::string dtype = "auto";
    std::string task;
    OptionValues options{task_options()};

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
          Field(task_choices()).rows_of("tasks"));
        options.visit(v);
    }
};

}  // namespace plumb
