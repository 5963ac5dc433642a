# The Debian packages: one a component, by `cpack` in a release's build tree, or all at once by deploy/package.
set (CPACK_GENERATOR DEB)
set (CPACK_PACKAGE_NAME gleaner)
set (CPACK_PACKAGE_VENDOR "Gleaner contributors")
set (CPACK_PACKAGE_CONTACT "Gleaner contributors <maintainers@gleaner.example.org>")
set (CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set (CPACK_PACKAGING_INSTALL_PREFIX /usr)
set (CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})
set (CPACK_STRIP_FILES ON)
set (CPACK_THREADS 0)
# What the install rules cannot say, since the prefix of a package is another one: see there.
set (CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/debian/finish.cmake)
set (CPACK_GLEANER_DEBIAN ${CMAKE_CURRENT_SOURCE_DIR}/debian)

set (CPACK_DEB_COMPONENT_INSTALL ON)
set (CPACK_COMPONENTS_ALL broker gateway worker cli)
set (CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set (CPACK_DEBIAN_PACKAGE_RELEASE 1)
set (CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set (CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set (CPACK_DEBIAN_COMPRESSION_TYPE xz)

# gleaner_package (COMPONENT PACKAGE SECTION SUMMARY TEXT [RELATION VALUE] ...)
macro (gleaner_package component package section summary text)
    string (TOUPPER ${component} upper)
    set (CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package})
    set (CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
    set (CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}\n${text}")
    gleaner_relations (${upper} ${ARGN})
endmacro ()
macro (gleaner_relations upper)
    set (left ${ARGN})
    while (left)
        list (POP_FRONT left relation value)
        set (CPACK_DEBIAN_${upper}_PACKAGE_${relation} "${value}")
    endwhile ()
endmacro ()

# A service's maintainer scripts, from those that all of them share. ENABLE: whether an installation enables and starts it.
# CACHES: what a purge takes though the package did not bring it.
function (gleaner_service component package enable caches)
    set (PACKAGE ${package})
    set (ENABLE ${enable})
    set (CACHES ${caches})
    set (folder ${CMAKE_CURRENT_BINARY_DIR}/debian/${package})
    foreach (script postinst prerm postrm)
        configure_file (debian/${script}.in ${folder}/${script} @ONLY)
        list (APPEND control ${folder}/${script})
    endforeach ()
    file (WRITE ${folder}/conffiles "/etc/gleaner/${component}.conf\n")
    list (APPEND control ${folder}/conffiles)
    string (TOUPPER ${component} upper)
    set (CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${control}" PARENT_SCOPE)
endfunction ()

# In Debian 12 `systemd-sysusers` is in the first two; it makes the services' users.
set (users "systemd | systemd-standalone-sysusers | systemd-sysusers")
set (what "Gleaner gives builds, tests and batch jobs to computers that would be idle:\n\
workers pull jobs, a ZIP of a project and some commands, from one broker.\n\n")

gleaner_package (broker gleaner-broker net "job queue for idle PCs: the broker"
    "${what}This is the broker: the durable queue, the registry of workers and the bytes."
    DEPENDS "${users}" SUGGESTS "gleaner-gateway")
gleaner_package (gateway gleaner-gateway net "job queue for idle PCs: HTTP API and web page"
    "${what}This is the gateway: the documented HTTP API and the web page before a broker,\nwhich may be on another machine."
    DEPENDS "${users}" SUGGESTS "gleaner-broker, nginx | caddy, prometheus")
gleaner_package (worker gleaner-worker net "job queue for idle PCs: the worker"
    "${what}This is the worker: it lends this computer to jobs, which it runs in a sandbox."
    DEPENDS "${users}, bubblewrap" RECOMMENDS "ca-certificates" SUGGESTS "podman | docker.io")
gleaner_package (cli gleaner utils "job queue for idle PCs: the command"
    "${what}This is the command: it submits folders and commands, shows their output as it\ncomes and fetches what they made."
    RECOMMENDS "ca-certificates" SUGGESTS "gleaner-broker, gleaner-gateway, gleaner-worker")
gleaner_service (broker gleaner-broker yes "")
gleaner_service (gateway gleaner-gateway yes /var/cache/gleaner)
gleaner_service (worker gleaner-worker no "")
include (CPack)
