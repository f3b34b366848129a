#include "train/corpora.h"

#include "core/check.h"
#include "core/sha256.h"
#include "core/text.h"
#include "train/debian_package.h"
#include "train/r_data.h"

#include <fstream>
#include <sstream>

namespace plumb {

namespace fs = std::filesystem;

const std::vector<CorpusInfo>& corpora() {
    static const std::vector<CorpusInfo> table{
        {"austen",
         "Jane Austen's six novels, 4.0 MB: Emma, Mansfield Park, Northanger Abbey, Persuasion, "
         "Pride and Prejudice, Sense and Sensibility; one printed line a line",
         {"r-cran-janeaustenr"},
         "ff4250a469524dbfeda7e414bfa9af1bdafc8464cedd6ea7c44b165c931200b1"},
        {"kjv",
         "the King James Bible, 4.4 MB, one verse a line with its reference",
         {"bible-kjv", "bible-kjv-text"},
         "cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d"},
    };
    return table;
}

namespace {

std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in || in.bad())
        throw IoError(
            fmt::format("cannot read {}: is it a file, and may you read it?", file.string()));
    return std::move(text).str();
}

// Every line of the package ends with '\n', and an empty line parts the novels. The order is that
// of the package's database, which is alphabetical.
std::string austen_text(const CorpusInfo& info) {
    const std::string database = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb";
    const TempFolder folder;
    const fs::path file = debian_root(info.packages, {database}, folder.path()) / database;
    std::string text;
    for (const auto& novel : read_r_lines(read_file(file), file.string())) {
        if (!text.empty()) text += '\n';
        for (const std::string& line : novel) text += line + '\n';
    }
    return text;
}

// The package keeps the text in a form of its own; its program writes it out.
std::string kjv_text(const CorpusInfo& info) {
    const TempFolder folder;
    const fs::path root =
        debian_root(info.packages, {"usr/bin/bible", "usr/lib/bible.data"}, folder.path());
    const fs::path out = folder.path() / "kjv.txt";
    const std::string command =
        fmt::format("{} -p {} -f gen1:1-rev22:21 </dev/null >{} 2>/dev/null",
                    shell_quote((root / "usr/bin/bible").string()),
                    shell_quote((root / "usr/lib").string()), shell_quote(out.string()));
    if (std::system(command.c_str()) != 0)
        throw IoError(
            "the program `bible` does not run here. Type: sudo apt-get install bible-kjv");
    return read_file(out);
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
                name, info.packages.front(), found, info.sha256);
        return source;
    }
    if (fs::is_directory(name))
        throw UsageError(
            fmt::format("{} is a folder; name the files: plumb data prepare {}/*.txt "
                        "--out DIR",
                        name, name));
    if (!fs::exists(name))
        throw UsageError(
            fmt::format("'{}' is neither a corpus nor a file. Corpora: {}; did you "
                        "mean {}?",
                        name, fmt::join(names, ", "), nearest(name, names)));
    SourceText source{name, read_file(name), ""};
    if (source.text.empty())
        throw UsageError(fmt::format("{} is empty; name a file with text", name));
    return source;
}

}  // namespace plumb
