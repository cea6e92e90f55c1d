import Testing

@testable import CLI

@Suite struct MachineTests {
  @Test func thisMachineHasCores() { #expect(Machine.cores >= 1) }

  @Test(
    arguments: [("Name:\tx\nCpus_allowed:\t00ff,ffffffff\n", 40), ("Cpus_allowed:\t3\n", 2), ("", nil)]
      as [(String, Int?)])
  func coresThatItIsBoundTo(status: String, cores: Int?) {
    #expect(Machine.bound { $0 == "/proc/self/status" ? status : nil } == cores)
  }

  /// The narrowest of a group's share and those above it counts.
  @Test(
    arguments: [
      ([:], nil), (["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"], nil),
      (["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n"], 2),
      (
        [
          "/proc/self/cgroup": "0::/a.slice/b.service\n", "/sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
          "/sys/fs/cgroup/a.slice/b.service/cpu.max": "800000 100000\n",
        ], 3
      ),
      (
        [
          "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n",
          "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "50000\n",
          "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
        ], 1
      ),
      (
        [
          "/proc/self/cgroup": "4:cpu,cpuacct:/1\n",
          "/sys/fs/cgroup/cpu,cpuacct/1/cpu.cfs_quota_us": "300000\n",
          "/sys/fs/cgroup/cpu,cpuacct/1/cpu.cfs_period_us": "100000\n",
        ], 3
      ),
      (
        [
          "/proc/self/cgroup": "4:cpu,cpuacct:/\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
          "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        ], nil
      ),
      (["/proc/self/cgroup": "nonsense\n0::\n", "/sys/fs/cgroup/cpu.max": "0 0\n"], nil),
    ] as [([String: String], Int?)]) func sharesOfControlGroups(files: [String: String], cores: Int?)
  {
    #expect(Machine.share { files[$0] } == cores)
  }
}
