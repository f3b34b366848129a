#include "core/files.h"

#include "catch.h"
#include "core/check.h"
#include "support/temp_folder.h"

#include <sys/resource.h>

#include <csignal>
#include <string>

using namespace plumb;
namespace fs = std::filesystem;

namespace {

std::size_t n_entries(const fs::path& folder) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Stands in for a full disk: files may not grow beyond `bytes` in this scope.
struct FileSizeLimit {
    explicit FileSizeLimit(rlim_t bytes) {
        getrlimit(RLIMIT_FSIZE, &old);
        old_handler = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{bytes, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() {
        setrlimit(RLIMIT_FSIZE, &old);
        std::signal(SIGXFSZ, old_handler);
    }
    rlimit old{};
    void (*old_handler)(int);
};

}  // namespace

TEST_CASE("what is written is read back, whatever the bytes") {
    TempFolder folder;
    std::string text(200001, 'x');
    text[3] = '\0';
    text.back() = '\n';
    write_file(folder / "a", text);
    CHECK(read_file(folder / "a") == text);
    write_file(folder / "a", "");
    CHECK(read_file(folder / "a").empty());
    CHECK(n_entries(folder.path()) == 1);
}

TEST_CASE("a file that was not committed leaves the old one and no litter") {
    TempFolder folder;
    write_file(folder / "a", "old");
    {
        AtomicFile file(folder / "a");
        file.write("new");
        CHECK(n_entries(folder.path()) == 2);
        for (const auto& entry : fs::directory_iterator(folder.path()))
            CHECK(temporary_of(entry.path()) == (entry.path().filename() == "a" ? "" : "a"));
        CHECK(read_file(folder / "a") == "old");
    }
    CHECK(read_file(folder / "a") == "old");
    CHECK(n_entries(folder.path()) == 1);
}

TEST_CASE("a full disk is an IoError that names the file, the old file survives") {
    TempFolder folder;
    write_file(folder / "a", "old");
    OutputFile full("/dev/full", OutputFile::Mode::append);
    CHECK_THROWS_WITH(full.write("x"), "cannot write /dev/full: No space left on device");
    bool threw = false;
    {
        const FileSizeLimit limit(4096);
        try {
            write_file(folder / "a", std::string(100000, 'x'));
        } catch (const IoError&) {
            threw = true;
        }
    }
    CHECK(threw);
    CHECK(read_file(folder / "a") == "old");
    CHECK(n_entries(folder.path()) == 1);
}

TEST_CASE("missing files and folders are IoErrors with path and reason") {
    TempFolder folder;
    const std::string missing = (folder / "none").string();
    CHECK_THROWS_WITH(read_file(missing), "cannot read " + missing + ": No such file or directory");
    CHECK_THROWS_AS(read_file(folder.path()), IoError);
    CHECK_THROWS_AS(write_file(folder / "none/a", "x"), IoError);
    CHECK_THROWS_AS(sync_folder(missing), IoError);
    CHECK_THROWS_AS(rename_path(missing, folder / "b"), IoError);
    CHECK_NOTHROW(remove_path(missing));
}

TEST_CASE("only names that AtomicFile gives are temporaries") {
    CHECK(temporary_of("run/.STATUS.tmp.node-1.77") == "STATUS");
    CHECK(temporary_of(".a.tmp.b.tmp.c.1") == "a.tmp.b");
    for (const char* name : {".tmp-thesis", ".STATUS.tmp", ".STATUS.tmp.thesis", "STATUS.tmp.n.1",
                             ".tmp.n.1", "..tmp.n.1x", ".STATUS.tmp123"})
        CHECK(temporary_of(name) == "");
}

TEST_CASE("append keeps what is there") {
    TempFolder folder;
    for (const char* word : {"one ", "two"}) {
        OutputFile file(folder / "a", OutputFile::Mode::append);
        file.write(word);
        file.sync();
        file.close();
        CHECK_THROWS_AS(file.write("late"), InternalError);
    }
    CHECK(read_file(folder / "a") == "one two");
}

TEST_CASE("a new file is not written through a link at its place") {
    const TempFolder temp;
    write_file(temp / "other", "kept");
    fs::create_symlink("other", temp / "new");
    CHECK_THROWS_AS(OutputFile(temp / "new", OutputFile::Mode::create), IoError);
    CHECK(read_file(temp / "other") == "kept");
}
