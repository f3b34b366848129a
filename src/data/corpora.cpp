#include "data/corpora.h"

#include "core/check.h"
#include "core/files.h"
#include "core/sha256.h"
#include "core/text.h"
#include "data/bible_data.h"
#include "data/r_data.h"

#include <filesystem>

namespace plumb {

namespace fs = std::filesystem;

const std::vector<CorpusInfo>& corpora() {
    static const std::vector<CorpusInfo> table{
        {"austen",
         "Jane Austen's six novels, 4.0 MB: Emma, Mansfield Park, Northanger Abbey, Persuasion, "
         "Pride and Prejudice, Sense and Sensibility; one printed line a line",
         {"r-cran-janeaustenr",
          {"df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"}},  // 1.0.0-1
         "ff4250a469524dbfeda7e414bfa9af1bdafc8464cedd6ea7c44b165c931200b1"},
        {"kjv",
         "the King James Bible, 4.4 MB, one verse a line with its reference",
         {"bible-kjv-text",
          {"d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a"}},  // 4.38
         "cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d"},
    };
    return table;
}

namespace {

// Every line of the package ends with '\n', and an empty line parts the novels. The order is that
// of the package's database, which is alphabetical.
std::string austen_text(const CorpusInfo& info) {
    const std::string database = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb";
    std::string text;
    for (const auto& novel : read_r_lines(read_package_file(info.package, database), database)) {
        if (!text.empty()) text += '\n';
        for (const std::string& line : novel) text += line + '\n';
    }
    return text;
}

std::string kjv_text(const CorpusInfo& info) {
    const std::string file = "usr/lib/bible.data";
    return read_bible_data(read_package_file(info.package, file), file);
}

}  // namespace

SourceText load_source(const std::string& name) {
    std::vector<std::string> names;
    for (const CorpusInfo& info : corpora()) {
        names.push_back(info.name);
        if (info.name != name) continue;
        SourceText source{name, name == "austen" ? austen_text(info) : kjv_text(info), ""};
        const std::string found = sha256_hex(source.text);
        if (found != info.sha256)
            source.warning = fmt::format(
                "{}: this text is not the one Plumb was tested with (another version of {}?): "
                "sha256 {}, expected {}. Losses will not compare exactly",
                name, info.package.name, found, info.sha256);
        return source;
    }
    if (fs::is_directory(name))
        throw UsageError(
            fmt::format("{} is a folder; name the files: plumb data prepare {}/*.txt "
                        "--out DIR",
                        name, shell_quoted(name)));
    if (!fs::exists(name))
        throw IoError(fmt::format("'{}' is neither a corpus ({}) nor a file{}", name,
                                  fmt::join(names, ", "), did_you_mean(name, names)));
    SourceText source{name, read_file(name), ""};
    if (source.text.empty())
        throw UsageError(fmt::format("{} is empty; name a file with text", name));
    return source;
}

}  // namespace plumb
