# Run by CPack between the staged installation and the packages. The install rules keep everything below their prefix, so
# that an ordinary user can install into a folder; in a package configuration is in /etc. Debian also wants manual pages
# compressed, and a copyright and a changelog in each package.
set (debian ${CPACK_GLEANER_DEBIAN})
find_program (GZIP gzip REQUIRED)
find_program (CHMOD chmod REQUIRED)

function (compress)
    if (ARGN)
        execute_process (COMMAND ${GZIP} -9nf ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
    endif ()
endfunction ()

foreach (component ${CPACK_COMPONENTS_ALL})
    string (TOUPPER ${component} upper)
    set (package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
    set (root ${CPACK_TEMPORARY_DIRECTORY}/${component})
    if (NOT IS_DIRECTORY ${root}/usr)
        message (FATAL_ERROR "${root}/usr is not there: CPack stages its files elsewhere now")
    endif ()
    if (IS_DIRECTORY ${root}/usr/etc)
        file (RENAME ${root}/usr/etc ${root}/etc)
    endif ()
    set (documents ${root}/usr/share/doc/${package})
    configure_file (${debian}/copyright ${documents}/copyright COPYONLY)
    configure_file (${debian}/changelog ${documents}/changelog.Debian COPYONLY)
    file (GLOB manuals ${root}/usr/share/man/man*/*.[1-9])
    compress (${documents}/changelog.Debian ${manuals})
    set (PACKAGE ${package})
    configure_file (${debian}/lintian-overrides.in ${root}/usr/share/lintian/overrides/${package} @ONLY)
    # The builder's umask is not the package's.
    execute_process (COMMAND ${CHMOD} -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
endforeach ()
