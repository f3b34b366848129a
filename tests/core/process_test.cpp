#include "core/process.h"

#include "catch.h"

#include <sys/wait.h>
#include <unistd.h>

using namespace plumb;

TEST_CASE("a process is known again, and known to be gone") {
    const ProcessId me = this_process();
    CHECK(me.pid == ::getpid());
    REQUIRE_FALSE(me.boot_id.empty());
    REQUIRE(me.start_ticks > 0);
    CHECK(is_running(me) == true);
    ProcessId other = me;
    other.start_ticks += 1;  // an earlier process with our number
    CHECK(is_running(other) == false);
    other = me;
    other.boot_id = "before";
    CHECK(is_running(other) == false);
    other.host += "x";
    CHECK_FALSE(is_running(other));

    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    other = me;
    other.pid = child;
    CHECK(is_running(other) == false);
}

TEST_CASE("tags of processes are told from other ends of names") {
    CHECK(is_process_tag(process_tag()));
    CHECK(is_process_tag("node-3.1"));
    for (const char* text : {"", ".", "node.", ".12", "no de.1", "node.12a", "node.1.2", "thesis"})
        CHECK_FALSE(is_process_tag(text));
}
