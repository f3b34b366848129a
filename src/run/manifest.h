// manifest.json: what a run was made with, enough to make it again.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace plumb {

struct ManifestInputs {
    std::vector<std::string> command_line;  // argv
    std::string device;                     // cpu, or the GPU's name
    std::string precision;                  // fp32, bf16
    int threads = 1;
    long seed = 1;
    std::string dataset;                 // one line that describes it
    std::string dataset_fingerprint;     // hash of tokens and tokenizer, or of the task's options
    nlohmann::ordered_json init_from{};  // run, step and SHA-256 of weights it started from
    nlohmann::ordered_json seeds{};      // {"init": 1, "data": 1, "dropout": 1}, whoever set them
    int numerics = 1;                    // config/numerics.h
};

// Provenance (core/provenance.h), numerics, run and data. run.attention: the kernel
// (ops/attention_kernel.h), on which last places depend. run.keeps_numbers lists the settings that
// no loss depends on: runs that differ in nothing else are the same.
nlohmann::ordered_json make_manifest(const ManifestInputs& inputs);

}  // namespace plumb
